package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"dlt645-mqtt/protocol/dlt645"
)

// runDecode explains frames, one JSON object a line.
func runDecode(_ context.Context, arguments []string, in io.Reader, out, stderr io.Writer) int {
	flags := newFlags("decode", "[HEX…]", "Explains frames, one JSON object a line. The arguments are joined and the frames cut out of them;\nwithout arguments standard input is read. Passwords are shown. Exit 1 if a frame is bad, and why on standard error.\nA refusal with an odd error code is bad, and explained all the same.", stderr)
	protocol := flags.String("protocol", "", "`edition` of the standard, 2007 or 1997; told by the function code if not given")
	flags.Bool("json", true, "as always; for scripts that give it to every command")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	var version dlt645.Version
	if *protocol != "" {
		var err error
		if version, err = dlt645.ParseVersion(*protocol); err != nil {
			complain(stderr, "decode", err)
			return 2
		}
	}
	r := reader{environment: readEnvironment()}
	zone := r.zone()
	if err := errors.Join(r.complaints...); err != nil {
		complain(stderr, "decode", err)
		return 2
	}
	text := strings.Join(words, " ")
	if len(words) == 0 {
		input, err := io.ReadAll(in)
		if err != nil {
			complain(stderr, "decode", err)
			return 1
		}
		text = string(input)
	}
	stream, err := parseHex(text)
	if err != nil {
		complain(stderr, "decode", err)
		return 1
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, piece := range cutFrames(stream) {
		description, err := dlt645.Describe(piece, version, zone)
		if err != nil {
			complain(stderr, fmt.Sprintf("decode: % X", piece), err)
			status = 1
		}
		if err == nil || description.Refusal != nil {
			if err := encoder.Encode(description); err != nil {
				complain(stderr, "decode", err)
				status = 1
			}
		}
	}
	return status
}

// parseHex reads hex digits, with whatever people put between them.
func parseHex(text string) ([]byte, error) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "0x", " "), "0X", " ")
	digits := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\r\n,;:-", c) {
			return -1
		}
		return c
	}, text)
	switch i := strings.IndexFunc(digits, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) }); {
	case i >= 0:
		c, _ := utf8.DecodeRuneInString(digits[i:])
		return nil, fmt.Errorf("%q is no hex digit", c)
	case len(digits) == 0:
		return nil, errors.New("there is no frame: give hex digits")
	case len(digits)%2 == 1:
		return nil, fmt.Errorf("an odd number of hex digits (%d)", len(digits))
	}
	return hex.DecodeString(digits)
}

// cutFrames cuts a stream into frames and, between them, pieces that are none.
func cutFrames(stream []byte) (pieces [][]byte) {
	const wakeUp = 0xFE
	keep := func(piece []byte) {
		for len(piece) > 0 && piece[0] == wakeUp {
			piece = piece[1:]
		}
		for len(piece) > 0 && piece[len(piece)-1] == wakeUp {
			piece = piece[:len(piece)-1]
		}
		if len(piece) > 0 {
			pieces = append(pieces, piece)
		}
	}
	for len(stream) > 0 {
		advance, frame, _ := dlt645.ScanFrame(stream, true)
		if frame == nil {
			break
		}
		keep(stream[:advance-len(frame)])
		pieces = append(pieces, frame)
		stream = stream[advance:]
	}
	keep(stream)
	return pieces
}
