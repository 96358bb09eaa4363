package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// A Rule says which keys a cloud takes.
type Rule struct {
	Longest int  // characters; 0: any
	Plain   bool // letters, digits and _ only

	Reserved []string // what stands in each message beside the keys
}

// plainRule is that of a cloud whose keys are letters, digits and _.
func plainRule(longest int) Rule { return Rule{Longest: longest, Plain: true} }

// Key returns the key that an item has if the user gives it none: its name, with _ for the
// point of a flag.
func Key(item string) string { return strings.ReplaceAll(item, ".", "_") }

// Check returns an error that says why a cloud would not take this key.
func (r Rule) Check(key string) error {
	if key == "" {
		return fmt.Errorf("a key must not be empty")
	}
	if slices.Contains(r.Reserved, key) {
		return fmt.Errorf("the key %s stands in each message already", key)
	}
	if r.Longest > 0 && len(key) > r.Longest {
		return fmt.Errorf("the key %s has %d characters; the cloud takes %d", key, len(key), r.Longest)
	}
	if !r.Plain {
		return nil
	}
	for _, c := range []byte(key) {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Errorf("the key %s has a character other than letters, digits and _", key)
		}
	}
	return nil
}

// Behind returns the rule for what stands behind a prefix.
func (r Rule) Behind(prefix string) Rule {
	if r.Longest > 0 { // 0 is no limit, also where the prefix uses one up
		r.Longest = max(1, r.Longest-len(prefix))
	}
	return r
}

// Propose returns a key for an item that the rule takes, for a person to accept or better: each
// word shortened as far as need be.
func (r Rule) Propose(item string) string {
	key := Key(item)
	if r.Longest == 0 || len(key) <= r.Longest {
		return key
	}
	words := strings.Split(key, "_")
	for most := 8; most > 0; most-- {
		short := make([]string, len(words))
		for i, w := range words {
			short[i] = w[:min(len(w), most)]
		}
		if s := strings.Join(short, "_"); len(s) <= r.Longest {
			return s
		}
	}
	return key[:r.Longest]
}
