package meters

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"dlt645-mqtt/bridge/homeassistant"
)

// FuzzPublished: whoever may publish to the bridge's topics may write a list that looks like ours. Nothing of it
// comes to stand in a topic or in a config that no bridge would have put there.
func FuzzPublished(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", `{"meters":["main","+","#","a/b","a\u0000b",""],"discovery":"homeassistant"}`,
		`{"discovery":"+","devices":{"test_1":{"meter":"main"}}}`,
		`{"discovery":"ha/x","devices":{"test_1":{"meter":"main","entities":{"sensor":["a","a/b"],"camera":["x"]},"about":{"model":"x","y":"z"}},"other_1":{},"test_a/b":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		p := parsePublished(payload, func(id string) bool { return homeassistant.IsOf("test", id) })
		fits := func(text string) bool {
			return !strings.ContainsAny(text, "+#\x00") && utf8.ValidString(text) && len(text) <= mostPrefix
		}
		names := slices.Clone(p.Meters)
		for id, d := range p.Devices {
			if p.Discovery == "" || !fits(p.Discovery) || id != homeassistant.Key(id) || !strings.HasPrefix(id, "test_") {
				t.Errorf("%q: a device %q under %q", payload, id, p.Discovery)
			}
			if d.Meter != "" {
				names = append(names, d.Meter)
			}
			for platform, keys := range d.Entities {
				for _, key := range keys {
					if !homeassistant.Known(platform, key) {
						t.Errorf("%q: an entity %q of %q", payload, key, platform)
					}
				}
			}
		}
		for _, name := range names {
			if !fits(name) || strings.Contains(name, "/") || name == "" {
				t.Errorf("%q: a meter %q", payload, name)
			}
		}
	})
}
