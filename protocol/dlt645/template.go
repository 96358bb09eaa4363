package dlt645

import (
	"fmt"
	"strings"
)

// A template is a name or text with letters in braces.
type template []segment

type segment struct {
	text   string
	letter int // index of the letter that stands here; -1 for text
}

// parseTemplate compiles a text such as "forward_active_energy{t}{h}".
func parseTemplate(text string, letters []letter) (template, error) {
	var t template
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if before != "" {
			t = append(t, segment{before, -1})
		}
		if !found {
			break
		}
		symbol, after, closed := strings.Cut(rest, "}")
		at := -1
		for i, l := range letters {
			if string(l.symbol) == symbol {
				at = i
			}
		}
		if !closed || at < 0 {
			return nil, fmt.Errorf("%q has {%s, which is none of the running letters", text, symbol)
		}
		t = append(t, segment{"", at})
		text = after
	}
	return t, nil
}

// fill writes the template with the word that say gives for each option.
func (t template) fill(letters []letter, at positions, say func(*option) string) string {
	var b strings.Builder
	for _, s := range t {
		if s.letter < 0 {
			b.WriteString(s.text)
		} else {
			b.WriteString(say(&letters[s.letter].options[at[s.letter]]))
		}
	}
	return b.String()
}

// plain returns the template without its letters.
func (t template) plain() string {
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.text)
	}
	return strings.TrimSpace(b.String())
}

// match finds the options with which the template makes the name. A letter that is not in
// the template keeps its position.
func (t template) match(letters []letter, name string, at positions) (positions, bool) {
	if len(t) == 0 {
		return at, name == ""
	}
	s := t[0]
	if s.letter < 0 {
		rest, ok := strings.CutPrefix(name, s.text)
		if !ok {
			return at, false
		}
		return t[1:].match(letters, rest, at)
	}
	for i := range letters[s.letter].options {
		rest, ok := strings.CutPrefix(name, letters[s.letter].options[i].name)
		if !ok {
			continue
		}
		at[s.letter] = uint8(i)
		if found, ok := t[1:].match(letters, rest, at); ok {
			return found, true
		}
	}
	return at, false
}

// mayBegin reports whether a text that the template makes can begin so.
func (t template) mayBegin(begin string) bool {
	if len(t) == 0 || t[0].letter >= 0 {
		return true
	}
	return strings.HasPrefix(begin, t[0].text) || strings.HasPrefix(t[0].text, begin)
}
