package protocol

import (
	"iter"
	"slices"
	"strings"
)

// A Pattern matches names of items, as [Catalogue.Match] takes them. In it * stands for any number of
// characters other than _ and the point; as all that follows a point it may stand for _ too.
type Pattern struct {
	begin   string
	between []string // two *, none of them empty
	end     string
	beyond  string // characters that the last * does not stand for
}

// ParsePattern cuts a pattern with one * at least.
func ParsePattern(pattern string) Pattern {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	between := slices.DeleteFunc(parts[1:last:last], func(part string) bool { return part == "" })
	beyond := "_."
	if strings.HasSuffix(pattern, ".*") {
		beyond = "."
	}
	return Pattern{parts[0], between, parts[last], beyond}
}

// Begin returns what every name begins with that the pattern matches.
func (p Pattern) Begin() string { return p.begin }

// Matches reports whether the pattern matches a name. It takes each part where it first comes. No later
// place would do where that does not: none is within reach of the * before it if the part has a _ or a
// point, and if it has not, the * behind it passes over what is in between. So a name costs little,
// however many * there are.
func (p Pattern) Matches(name string) bool {
	rest, ok := strings.CutPrefix(name, p.begin)
	if !ok {
		return false
	}
	var passed string
	for _, part := range p.between {
		if passed, rest, ok = strings.Cut(rest, part); !ok || strings.ContainsAny(passed, "_.") {
			return false
		}
	}
	passed, ok = strings.CutSuffix(rest, p.end)
	return ok && !strings.ContainsAny(passed, p.beyond)
}

// Select returns those of the names that the pattern matches, each once, in their order.
func (p Pattern) Select(names iter.Seq[string]) (selected []string) {
	seen := make(map[string]bool)
	for name := range names {
		if !seen[name] && p.Matches(name) {
			seen[name] = true
			selected = append(selected, name)
		}
	}
	return selected
}
