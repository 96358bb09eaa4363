package bridge

import (
	"strings"
	"testing"
)

// TestSay puts all that people read of a reply into their language, and nothing that programs read.
func TestSay(t *testing.T) {
	s := newStage(t, func(c *Config) {
		c.Say = func(text string) string { return "«" + strings.Trim(text, "«»") + "»" }
	})
	for name, test := range map[string]struct{ topic, payload, code, want string }{
		"a verb that there is not": {"nosuch/main", "", "bad_request", `"message":"«`},
		"a meter that is silent":   {"read/dead", "voltage_a", "timeout", `"errors":{"voltage_a":{"code":"timeout","message":"«`},
		"a class that is not":      {"write/main", `{"item":"a","value":1}`, "not_allowed", `"message":"«requests of class write are not allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			sent, _ := s.ask(t, message{topic: "test/request/" + test.topic, payload: []byte(test.payload)})
			reply := string(sent.Payload)
			if !strings.Contains(reply, `"code":"`+test.code+`"`) || !strings.Contains(reply, test.want) {
				t.Errorf("the reply is %s, want %s and %s", reply, test.code, test.want)
			}
		})
	}
}
