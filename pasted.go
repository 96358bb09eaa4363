package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

var (
	// pastedTime matches dates and times of logs, which are no bytes: 2026-11-29, 29/11/2026, 06:11:33.123,
	// 2026-11-29T06:11:33+08:00.
	pastedTime = compiledOnce(`(^|[\s\[(,;"'])(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}:\d{2}(:\d{2})?([.,:]\d{3,9})?)([T ]\d{1,2}:\d{2}(:\d{2})?([.,:]\d{3,9})?)?(Z|[+-]\d{2}:?\d{2})?($|[\s\]),;"'])`)

	// pastedMark matches what programs write around a byte: 0x68, \x68, 68H.
	pastedMark   = compiledOnce(`(?:0[xX]|\\[xX])([0-9a-fA-F]{1,2})`)
	pastedSuffix = compiledOnce(`\b([0-9a-fA-F]{1,2})[hH]\b`)
	pastedHex    = compiledOnce(`^[0-9a-fA-F]+$`)
)

// compiledOnce compiles a pattern when it is first needed: a bridge never needs those of its commands.
func compiledOnce(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// fewestPasted is how many bytes must stand beside each other in a text to be taken for a part of a frame.
const fewestPasted = 4

// parseHex reads hex digits with whatever people put between them, and finds those in the lines of a log.
// Pasted reports whether there was text besides.
func parseHex(text string) (data []byte, pasted bool, err error) {
	plain := text
	for again := ""; again != plain; { // two that share the blank between them
		again, plain = plain, pastedTime().ReplaceAllString(plain, "$1 $9")
	}
	plain = pastedSuffix().ReplaceAllString(pastedMark().ReplaceAllString(plain, " $1 "), " $1 ")
	if data, err = parseDigits(plain); err == nil {
		return data, false, nil
	}
	if data = pastedBytes(plain); len(data) > 0 {
		return data, true, nil
	}
	return nil, false, err
}

// isSeparator reports whether a character stands between bytes.
func isSeparator(c rune) bool { return strings.ContainsRune(" \t\r\n,;:-", c) }

// parseDigits reads hex digits, in which nothing else may stand but separators. Where single digits stand between
// pairs, each is a byte.
func parseDigits(text string) ([]byte, error) {
	words := strings.FieldsFunc(text, isSeparator)
	digits := strings.Join(words, "")
	if i := strings.IndexFunc(digits, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) }); i >= 0 {
		c, _ := utf8.DecodeRuneInString(digits[i:])
		return nil, fmt.Errorf("%q is no hex digit", c)
	}
	pairs, longer := 0, 0
	for _, word := range words {
		switch {
		case len(word) == 2:
			pairs++
		case len(word) > 2:
			longer++
		}
	}
	if pairs > 0 && longer == 0 {
		digits = ""
		for _, word := range words {
			digits += "0"[:2-len(word)] + word
		}
	}
	switch {
	case len(digits) == 0:
		return nil, errors.New("there is no frame: give hex digits")
	case len(digits)%2 == 1:
		return nil, fmt.Errorf("an odd number of hex digits (%d)", len(digits))
	}
	return hex.DecodeString(digits)
}

// pastedBytes returns the bytes that stand in text, line by line: words of hex digits beside each other.
func pastedBytes(text string) (data []byte) {
	for line := range strings.Lines(text) {
		var run []string
		flush := func() {
			if bytes, err := parseDigits(strings.Join(run, " ")); err == nil && len(bytes) >= fewestPasted {
				data = append(data, bytes...)
			}
			run = nil
		}
		for _, word := range strings.FieldsFunc(line, func(c rune) bool { return isSeparator(c) || strings.ContainsRune(`"'()[]{}<>|=，；：【】`, c) }) {
			switch {
			case pastedHex().MatchString(word) && (len(word) <= 2 || len(word)%2 == 0 && strings.ContainsAny(word, "0123456789")):
				if len(word) > 2 { // a frame in one piece, or the offset of a dump before single bytes
					flush()
					run = []string{word}
					if len(word) >= 2*fewestPasted {
						flush()
					}
					run = nil
					continue
				}
				run = append(run, word)
			default:
				flush()
			}
		}
		flush()
	}
	return data
}
