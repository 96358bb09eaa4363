// Package chinese says in Chinese what the program says in English.
//
// Sentences are made where something is known, deep in packages that know of no language, and reach people in few places: the log,
// the terminal, the replies. There they are looked up ([Translate]): messages.txt has the English formats, as they stand in the code, and
// what they are in Chinese. What stands in place of a verb is translated in turn, for errors wrap each other. Names, codes,
// numbers and what nobody has translated stay as they are. What help prints is longer, and the same each time: it stands in help.txt
// whole ([Help]).
package chinese

import (
	"cmp"
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed messages.txt
var source string

// A message is one sentence in both languages.
type message struct {
	format   string   // English, as in the code
	literals []string // what stands before, between and behind the verbs of the English format
	verbs    []byte   // d, q, s, …
	weight   int      // of the literals, in bytes
	chinese  string
}

// verb matches those of package fmt.
var verb = regexp.MustCompile(`%[-+# 0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:\[\d+\])?[a-zA-Z%]`)

// newMessage takes a format apart.
func newMessage(format, translation string) message {
	m := message{format: format, chinese: translation}
	literal, from := "", 0
	for _, at := range verb.FindAllStringIndex(format, -1) {
		literal += format[from:at[0]]
		from = at[1]
		if kind := format[at[1]-1]; kind != '%' {
			m.verbs = append(m.verbs, kind)
			m.literals = append(m.literals, literal)
			m.weight += len(literal)
			literal = ""
		} else {
			literal += "%"
		}
	}
	literal += format[from:]
	m.literals = append(m.literals, literal)
	m.weight += len(literal)
	return m
}

// messages returns all, the more telling first. They are read when the first is wanted: most never are.
var messages = sync.OnceValue(func() []message {
	all := parse(source)
	slices.SortStableFunc(all, func(a, b message) int { return cmp.Compare(b.weight, a.weight) })
	return all
})

// parse reads messages.txt: pairs of lines with empty lines between, and comments.
func parse(text string) (all []message) {
	english := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			english = ""
		case english == "":
			english = line
		default:
			all = append(all, newMessage(english, line))
			// Where a code says as much, the word for it is not there.
			if rest, ok := strings.CutPrefix(english, "%w: "); ok && strings.HasPrefix(line, "%1：") {
				all = append(all, newMessage(rest, place.ReplaceAllStringFunc(strings.TrimPrefix(line, "%1："), func(p string) string { return "%" + string(p[1]-1) })))
			}
		}
	}
	return all
}

const (
	deepest = 6    // errors that wrap each other
	longest = 2000 // bytes of a line; what is longer was not written by us
)

// variable matches that of which a complaint about the configuration is.
var variable = regexp.MustCompile(`^[A-Z][A-Z0-9]*_[A-Z0-9_]+: `)

// Translate returns a text in Chinese, as far as it is known.
func Translate(text string) string {
	if !strings.Contains(text, "\n") {
		return translate(text, deepest)
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body := strings.TrimSuffix(line, "\n")
		lines[i] = translate(body, deepest) + line[len(body):]
	}
	return strings.Join(lines, "")
}

// translate does so with one line.
func translate(text string, depth int) string {
	body := strings.TrimLeft(text, " ")
	if body == "" || depth == 0 || len(text) > longest {
		return text
	}
	if body != text {
		return text[:len(text)-len(body)] + translate(body, depth)
	}
	if at := variable.FindStringIndex(text); at != nil { // else it counts as what stands first in a sentence
		if sentence, ok := lookUp(text[at[1]:], depth); ok {
			return text[:at[1]-len(": ")] + "：" + sentence
		}
	}
	if sentence, ok := lookUp(text, depth); ok {
		return sentence
	}
	// A name, or a sentence, and what is said of it.
	parts := cut(text, ": ")
	for i := 1; i < len(parts); i++ {
		left, right := strings.Join(parts[:i], ": "), strings.Join(parts[i:], ": ")
		if sentence, ok := lookUp(right, depth); ok {
			return translate(left, depth-1) + "：" + sentence
		}
	}
	// Several sentences, each of which may be known.
	if sentences := cut(text, "; "); len(sentences) > 1 {
		for i := range sentences {
			sentences[i] = translate(sentences[i], depth-1)
		}
		if strings.Join(sentences, "; ") != text {
			return strings.Join(sentences, "；")
		}
		return text
	}
	for i := len(parts) - 1; i > 0; i-- {
		if sentence, ok := lookUp(strings.Join(parts[:i], ": "), depth); ok {
			return sentence + "：" + strings.Join(parts[i:], ": ")
		}
	}
	return text
}

// lookUp returns the translation of a text that is one message.
func lookUp(text string, depth int) (string, bool) {
	all := messages()
	for i := range all {
		m := &all[i]
		if len(text) < m.weight || !strings.HasPrefix(text, m.literals[0]) || !strings.HasSuffix(text, m.literals[len(m.literals)-1]) {
			continue // most, and that is found out soonest so
		}
		if arguments, ok := m.match(text); ok {
			return m.render(arguments, depth), true
		}
	}
	return "", false
}

// cut takes a text apart, where no quotation is open.
func cut(text, between string) (parts []string) {
	for part := range strings.SplitSeq(text, between) {
		if len(parts) > 0 && inQuotes(parts[len(parts)-1]) {
			parts[len(parts)-1] += between + part
			continue
		}
		parts = append(parts, part)
	}
	return parts
}

// inQuotes reports whether a quotation has begun in a text, and has not ended.
func inQuotes(text string) bool { return strings.Count(text, `"`)%2 == 1 }

// match returns what stands in place of the verbs, if a text is of the format.
func (m *message) match(text string) (arguments []string, ok bool) {
	rest, ok := strings.CutPrefix(text, m.literals[0])
	if !ok {
		return nil, false
	}
	return fill(rest, m.verbs, m.literals[1:], nil)
}

// fill finds arguments for the verbs so that the literals stand behind them.
func fill(rest string, verbs []byte, literals, before []string) ([]string, bool) {
	if len(verbs) == 0 {
		return before, rest == ""
	}
	if len(verbs) == 1 {
		argument, ok := strings.CutSuffix(rest, literals[0])
		if !ok || !fits(argument, verbs[0]) {
			return nil, false
		}
		return append(before, argument), true
	}
	for from := 0; from <= len(rest); from++ {
		i := strings.Index(rest[from:], literals[0])
		if i < 0 {
			break
		}
		from += i
		if !fits(rest[:from], verbs[0]) {
			continue
		}
		if all, ok := fill(rest[from+len(literals[0]):], verbs[1:], literals[1:], append(slices.Clip(before), rest[:from])); ok {
			return all, true
		}
	}
	return nil, false
}

// fits reports whether a verb can have printed a text.
func fits(text string, verb byte) bool {
	switch verb {
	case 'q':
		_, err := strconv.Unquote(text)
		return err == nil
	case 'd':
		_, err := strconv.ParseInt(text, 10, 64)
		return err == nil
	case 'X', 'x':
		return text != "" && strings.Trim(text, "0123456789ABCDEFabcdef ") == ""
	}
	return true
}

// place matches that of an argument in Chinese.
var place = regexp.MustCompile(`%[1-9]`)

// render puts the arguments into the Chinese sentence, those in Chinese that are sentences themselves.
func (m *message) render(arguments []string, depth int) string {
	return place.ReplaceAllStringFunc(m.chinese, func(p string) string {
		i := int(p[1] - '1')
		argument := arguments[i]
		if strings.ContainsRune("svw", rune(m.verbs[i])) && strings.Contains(argument, " ") { // one word is a name
			return translate(argument, depth-1)
		}
		return argument
	})
}
