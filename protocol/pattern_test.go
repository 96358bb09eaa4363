package protocol

import (
	"regexp"
	"strings"
	"testing"
)

// TestPattern compares what short patterns match with what regular expressions say.
func TestPattern(t *testing.T) {
	spell := func(alphabet string, most int) (words []string) {
		words = []string{""}
		for longer := words; most > 0; most-- {
			var next []string
			for _, word := range longer {
				for _, letter := range alphabet {
					next = append(next, word+string(letter))
				}
			}
			words, longer = append(words, next...), next
		}
		return words
	}
	names := spell("ab_", 5)
	for _, pattern := range spell("ab_*", 4) {
		if !strings.Contains(pattern, "*") {
			continue
		}
		like, want := ParsePattern(pattern), regexp.MustCompile("^"+strings.ReplaceAll(pattern, "*", "[^_.]*")+"$")
		for _, name := range names {
			if got := like.Matches(name); got != want.MatchString(name) {
				t.Errorf("%s is like %s: %t", name, pattern, got)
			}
		}
	}
}
