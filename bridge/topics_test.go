package bridge

import (
	"strings"
	"testing"
)

func TestRequestTopic(t *testing.T) {
	for _, row := range []struct {
		topic, verb, target, reply string
		ok                         bool
	}{
		{"root/request/read/main", "read", "main", "root/reply/read/main", true},
		{"root/request/raw", "raw", "", "root/reply/raw", true},
		{"root/request/read/a/b", "read", "a/b", "root/reply/read/a/b", true},
		{"root/request/", "", "", "root/reply/", true},
		{"root/request", "", "", "root/reply", true},
		{"root/reply/read/main", "", "", "", false},
		{"other/request/read/main", "", "", "", false},
		{"root/requests/read/main", "", "", "", false},
	} {
		verb, target, ok := tree("root").request(row.topic)
		if ok != row.ok || ok && (verb != row.verb || target != row.target) {
			t.Errorf("%s: %q %q %t", row.topic, verb, target, ok)
		}
		if got := tree("root").reply(row.topic); ok && got != row.reply {
			t.Errorf("%s: reply on %s, want %s", row.topic, got, row.reply)
		}
	}
}

func TestMayReply(t *testing.T) {
	for topic, want := range map[string]bool{
		"root/reply/me/1":                        true,
		"root/reply/me":                          true,
		"root/reply/reader/read":                 true,
		"root/reply/readers/1":                   true, // begins like a verb, but is none
		"root/reply":                             false,
		"root/reply/":                            false,
		"root/reply//x":                          false,
		"root/reply/read":                        false,
		"root/reply/relay/main":                  false,
		"root/reply/config":                      false,
		"root/reply/+/x":                         false,
		"root/reply/me/#":                        false,
		"root/request/read/main":                 false,
		"root/meter/main/state":                  false,
		"$SYS/reply/me":                          false,
		"other/reply/me":                         false,
		"root/reply/me\x00":                      false,
		"root/reply/me\n":                        false,
		"root/reply/me\u009b":                    false,
		"root/reply/me\xff":                      false,
		"root/reply/电表":                          true,
		"root/replying/me":                       false,
		"/root/reply/me":                         false,
		"root/reply/" + strings.Repeat("a/", 40): false,
		"root/reply/" + strings.Repeat("a", 600): false,
		"root/reply/../meter/main":               true, // MQTT knows no .. : it is a level like any other
	} {
		if reason := tree("root").mayReply(topic); (reason == "") != want {
			t.Errorf("%q: %q, want allowed %t", topic, reason, want)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"id":"7","items":["voltage_a"],"ttl_ms":5,"expires":"2026-11-20T18:00:00+08:00","trace":true,"max_age_ms":1}`))
	f.Add([]byte(`voltage_a,02010100`))
	f.Add([]byte(`{"id":1e400,"items":[[[]]]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := parseBody(payload)
		r := &request{verb: verbRead}
		if err == nil {
			r.id, err = b.takeID()
		}
		if err == nil {
			err = b.common(r)
		}
		if err == nil {
			err = r.readKeys(&b)
		}
		if err != nil {
			if p := problemOf(err); p.Code != CodeBadRequest && p.Code != CodeUnsupported {
				t.Errorf("%q: %v", payload, err)
			}
			return
		}
		if len(r.items) > maxItems {
			t.Errorf("%q: %d items", payload, len(r.items))
		}
		if _, err := encodeJSON(&reply{ID: r.id}); err != nil {
			t.Errorf("%q: the id %s cannot be sent back: %v", payload, r.id, err)
		}
	})
}
