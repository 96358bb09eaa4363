// Package strictjson finds what package json lets pass, although programs differ in what they read there. What may switch a
// relay must mean one thing only. Standard library only.
package strictjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// TwiceKey returns the first key that stands twice in an object somewhere inside a JSON value. Readers of JSON do not
// agree which of the two counts. fold says that letters of other case are the same key, as they are where package json
// fills in a struct; the key comes in small ones then. The rest of what is no JSON is not looked at.
func TwiceKey(value []byte, fold bool) (key string, twice bool) {
	if bytes.IndexByte(value, '{') < 0 {
		return "", false
	}
	type level struct {
		keys  map[string]bool // nil: an array
		isKey bool            // a key comes next
	}
	var levels []level
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber() // a number too large for a float is none of our business here
	for {
		token, err := d.Token()
		if err != nil {
			return "", false
		}
		if text, ok := token.(string); ok && len(levels) > 0 && levels[len(levels)-1].isKey {
			top := &levels[len(levels)-1]
			name := text
			if fold {
				name = strings.ToLower(text)
			}
			if top.keys[name] {
				return name, true
			}
			top.keys[name], top.isKey = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			levels = append(levels, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
		if len(levels) > 0 {
			levels[len(levels)-1].isKey = levels[len(levels)-1].keys != nil
		}
	}
}

// HasHalfCharacter reports whether a \u escape of JSON text is half of a surrogate pair without the
// other half. Package json makes U+FFFD of each, and so one string of many.
func HasHalfCharacter(text []byte) bool {
	unit := func(text []byte) (u uint64, ok bool) {
		if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(text[2:6]), 16, 16)
		return u, err == nil
	}
	for len(text) > 0 {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || len(text) < at+2 {
			return false
		}
		text = text[at:]
		u, ok := unit(text)
		switch {
		case !ok:
			text = text[2:]
		case u >= 0xDC00 && u < 0xE000:
			return true
		case u >= 0xD800 && u < 0xDC00:
			if low, ok := unit(text[6:]); !ok || low < 0xDC00 || low >= 0xE000 {
				return true
			}
			text = text[12:]
		default:
			text = text[6:]
		}
	}
	return false
}
