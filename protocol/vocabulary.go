package protocol

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Vocabulary is what items are called, for people who write Chinese or misspell a name. Once filled it may be
// used by many goroutines.
type Vocabulary struct {
	// Known reports whether there is an item of a name. If it is nil these are those that were added.
	Known func(name string) bool

	names  []string
	items  called
	values called // of items: flags, and the parts of records
}

// A called finds names by what is called so in Chinese.
type called struct {
	plain map[string]string // see plain
	loose map[string]string // the same without the words for a total and for the moment
}

func (c *called) add(name, key string) {
	if c.plain == nil {
		c.plain, c.loose = map[string]string{}, map[string]string{}
	}
	if _, taken := c.plain[key]; !taken && key != "" {
		c.plain[key] = name
	}
	if _, taken := c.loose[loosely(key)]; !taken && loosely(key) != "" {
		c.loose[loosely(key)] = name
	}
}

func (c *called) find(key string) (name string, found bool) {
	if name, found = c.plain[key]; !found {
		name, found = c.loose[loosely(key)]
	}
	return name, found
}

// Add adds the name of an item and what it is called in Chinese. Of several items that are called alike the
// first counts.
func (v *Vocabulary) Add(name, chinese string) {
	v.names = append(v.names, name)
	v.items.add(name, plain(chinese))
}

// AddValue adds the name of a value of an item, such as a flag. Flags are called like the items that they are about,
// so items go before them, even if what those are called is more.
func (v *Vocabulary) AddValue(name, chinese string) {
	v.names = append(v.names, name)
	v.values.add(name, plain(chinese))
}

// Name returns the name of the item that is called so in Chinese: blanks, the width of letters and brackets,
// and the words for present, for total and for the moment do not matter. A short word of [Everyday] will do if it
// means one item. It reports whether there is one.
func (v *Vocabulary) Name(text string) (name string, found bool) {
	if names := v.Names(text, 1); names != nil {
		return names[0], true
	}
	return "", false
}

// Names is as Name, where a short word may mean up to so many items.
func (v *Vocabulary) Names(text string, most int) []string {
	if !IsChinese(text) {
		return nil
	}
	key := plain(text)
	if name, found := v.items.find(key); found {
		return []string{name}
	}
	for _, names := range Everyday(text) {
		if len(names) <= most && !slices.ContainsFunc(names, func(name string) bool { return !v.knows(name) }) {
			return names
		}
	}
	if name, found := v.values.find(key); found {
		return []string{name}
	}
	return nil
}

// knows reports whether there is an item of the name.
func (v *Vocabulary) knows(name string) bool {
	if v.Known != nil {
		return v.Known(name)
	}
	return slices.Contains(v.names, name)
}

// Hint asks in a part of a sentence, such as "; did you mean voltage_a?", whether the name is meant that is most like
// a text; it is empty if none is.
func (v *Vocabulary) Hint(text string) string { return Hint(text, slices.Values(v.names)) }

// Hint is as that of a Vocabulary, for any names.
func Hint(text string, names iter.Seq[string]) string {
	if near := nearestTo(text, names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// IsChinese reports whether there are Chinese characters in a text.
func IsChinese(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf && unicode.Is(unicode.Han, r) })
}

// plain returns a Chinese text as it is compared.
func plain(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(width(text), "(当前)", ""), "当前")
}

// width returns a text in capitals of the usual width, without blanks.
func width(text string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return -1
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		}
		return r
	}, text))
}

// loosely returns a plain text without what people leave out, but for the freeze of a moment, and in the words of
// electricians.
func loosely(text string) string {
	const moment, freeze = "瞬时", "瞬时冻结"
	if !strings.HasPrefix(text, freeze) {
		text = strings.TrimPrefix(text, moment)
	}
	text = sameWords.Replace(text)
	for _, meter := range []string{"电能表", "电表"} {
		if rest := strings.TrimPrefix(text, meter); rest != "" {
			text = rest
		}
	}
	return text
}

// mostMistakes is by how many characters a word may differ from the one that is meant. Of a short one it is fewer.
const mostMistakes = 3

// nearestTo returns the name that differs from a text by the fewest characters, the first of several; empty if all
// differ by too many.
func nearestTo(text string, names iter.Seq[string]) (nearest string) {
	const longest = 100 // no name is longer
	wanted := []rune(text)
	if len(wanted) > longest {
		return ""
	}
	fewest := min(mostMistakes, 1+len(wanted)/4) + 1
	for name := range names {
		if n := utf8.RuneCountInString(name); n-len(wanted) >= fewest || len(wanted)-n >= fewest {
			continue
		}
		if d := distance(wanted, []rune(name)); d < fewest {
			nearest, fewest = name, d
		}
	}
	return nearest
}

// distance counts the characters to insert, delete or exchange (Levenshtein).
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
