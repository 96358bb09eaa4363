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
