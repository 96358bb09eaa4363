package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"dlt645-mqtt/bridge/points"
)

func configurable(c *Config) { c.Allow["config"] = true }

// configure sends a table and returns the reply, and what then stands on bridge/config.
func (s *stage) configure(t *testing.T, payload string) (reply map[string]any, kept *string) {
	t.Helper()
	s.receive(message{topic: "test/request/config", payload: []byte(payload), received: time.Now()})
	for reply == nil || reply["ok"] == true && kept == nil && !strings.Contains(payload, "dry_run") {
		sent := <-s.sent
		switch sent.Topic {
		case "test/reply/config":
			if err := json.Unmarshal(sent.Payload, &reply); err != nil {
				t.Fatalf("reply %s: %v", sent.Payload, err)
			}
		case "test/bridge/config":
			if !sent.Kind.Retained() {
				t.Error("bridge/config is not retained")
			}
			text := string(sent.Payload)
			kept = &text
		}
	}
	return reply, kept
}

func TestConfigure(t *testing.T) {
	s := newStage(t, configurable)
	file := s.keeper.Table().Hash()
	const table = "meter,item,interval\nmain,voltage_a,10s\n*,energy,15m\n"
	reply, kept := s.configure(t, table)
	if reply["ok"] != true || reply["changed"] != true || reply["points"] != 4.0 || reply["plan"] != nil {
		t.Errorf("reply %v", reply)
	}
	if budget, ok := reply["budget"].(float64); !ok || budget <= 0 || budget >= 0.1 || reply["budget_worst"].(float64) <= budget {
		t.Errorf("budget %v, worst %v", reply["budget"], reply["budget_worst"])
	}
	if got := s.keeper.Table(); got.Text != table || got.Hash() != reply["hash"] {
		t.Errorf("in force is %q, hash %v", got.Text, reply["hash"])
	}
	var k keptTable
	if err := json.Unmarshal([]byte(*kept), &k); err != nil || k.CSV != table || k.Hash != s.keeper.Table().Hash() || k.FileHash != file || k.Points != 4 || k.Time == "" {
		t.Errorf("kept is %s (%v)", *kept, err)
	}
	if reply, _ = s.configure(t, table); reply["changed"] != false {
		t.Errorf("the same once more: %v", reply)
	}

	reply, kept = s.configure(t, `{"id":"7","version":"v42","points":[{"meter":"main","item":"current_a","interval":30,"max":5.0}]}`)
	if reply["ok"] != true || reply["id"] != "7" || reply["points"] != 1.0 {
		t.Errorf("as JSON: %v", reply)
	}
	k = keptTable{}
	if err := json.Unmarshal([]byte(*kept), &k); err != nil || k.Version != "v42" || k.CSV != "meter,item,interval,max\nmain,current_a,30,5.0\n" || k.FileHash != file {
		t.Errorf("kept is %s (%v)", *kept, err)
	}

	gb, err := simplifiedchinese.GB18030.NewEncoder().String("电表,数据项,名称\nmain,voltage_a,进线电压\n")
	if err != nil {
		t.Fatal(err)
	}
	if reply, _ = s.configure(t, gb); reply["ok"] != true || s.keeper.Table().Points[0].Name != "进线电压" {
		t.Errorf("in GB18030: %v, %+v", reply, s.keeper.Table())
	}

	reply, kept = s.configure(t, "")
	if reply["ok"] != true || *kept != "" || s.keeper.Table().Hash() != file {
		t.Errorf("back to the file: %v, kept %q", reply, *kept)
	}
	if reply, _ = s.configure(t, "off"); reply["ok"] != true || len(s.keeper.Table().Points) != 0 {
		t.Errorf("off: %v", reply)
	}
}

// TestDryRun says what would be, and changes nothing.
func TestDryRun(t *testing.T) {
	s := newStage(t, configurable)
	before := s.keeper.Table()
	for _, payload := range []string{
		`{"dry_run":true,"points":[{"meter":"main","item":"voltage_a","interval":"10s"},{"meter":"main","item":"current_a","interval":"1m"}]}`,
		`{"dry_run":true,"csv":"meter,item,interval\nmain,voltage_a,10s\nmain,current_a,60\n"}`,
	} {
		reply, kept := s.configure(t, payload)
		want := `[{"interval":"10s","items":["voltage_a"],"meter":"main"},{"interval":"1m0s","items":["current_a"],"meter":"main"}]`
		plan, err := json.Marshal(reply["plan"])
		if err != nil || string(plan) != want || reply["changed"] != true || kept != nil {
			t.Errorf("reply %v", reply)
		}
		if s.keeper.Table() != before {
			t.Error("a dry run has changed the table")
		}
	}
	if reply, _ := s.configure(t, `{"dry_run":true}`); reply["ok"] != true || reply["changed"] != false {
		t.Errorf("back to the file, dry: %v", reply)
	}
}

// TestConfigureRefuses takes nothing of a table with anything wrong in it.
func TestConfigureRefuses(t *testing.T) {
	s := newStage(t, configurable)
	before := s.keeper.Table()
	var heavy strings.Builder
	heavy.WriteString("meter,item,interval\n")
	for i := range 200 {
		fmt.Fprintf(&heavy, "main,item_%d,1s\n", i)
	}
	long := "meter,item\nmain,voltage_a\n" + strings.Repeat("#\n", maxConfigPayload/2-20)
	for name, row := range map[string]struct{ payload, want string }{
		"too long to come back":  {long, "the broker could not give back more"},
		"two things wrong":       {"meter,item,interval\nmain,voltage_a,10s\nnobody,voltage_a,soon\n", "2 things are wrong with the table, and nothing of it was taken; the first: row 3, interval"},
		"one thing wrong":        {`{"points":[{"meter":"nobody","item":"voltage_a"}]}`, "something is wrong with the table, and nothing of it was taken: row 1, meter"},
		"an unknown key":         {`{"points":[],"color":"red"}`, `"color" is no key of a config request`},
		"neither":                {`{}`, `neither "points" nor "csv"`},
		"both":                   {`{"points":[],"csv":""}`, "either"},
		"more than the wire has": {heavy.String(), "% of the wire's time at 115200 baud"},
	} {
		reply, _ := s.configure(t, row.payload)
		problem, _ := reply["error"].(map[string]any)
		if message, _ := problem["message"].(string); reply["ok"] != false || problem["code"] != "bad_request" || !strings.Contains(message, row.want) {
			t.Errorf("%s: %v, want %q", name, reply, row.want)
		}
		if strings.Contains(row.want, "wrong with") {
			if rows, _ := problem["rows"].([]any); len(rows) == 0 || rows[0].(map[string]any)["row"] == nil {
				t.Errorf("%s: rows %v", name, problem["rows"])
			}
		}
	}
	if s.keeper.Table() != before {
		t.Error("the table has changed")
	}
	quiet := newStage(t, nil)
	if reply, _ := quiet.configure(t, "off"); codeOf(reply) != string(CodeNotAllowed) {
		t.Errorf("not allowed: %v", reply)
	}
	if _, reply := s.ask(t, message{topic: "test/request/config/main", payload: []byte("off"), received: time.Now()}); codeOf(reply) != string(CodeBadRequest) {
		t.Errorf("to one meter: %v", reply)
	}
}

// TestRestore takes a table up again that the broker has kept, if the file is still the same.
func TestRestore(t *testing.T) {
	const table = "meter,item\nmain,voltage_a\n"
	first := newStage(t, configurable)
	_, kept := first.configure(t, table)
	file := first.fileTable()

	s := newStage(t, configurable)
	s.restore([]byte(*kept))
	if s.keeper.Table().Text != table {
		t.Errorf("in force is %q", s.keeper.Table().Text)
	}
	if m := <-s.sent; m.Topic != "test/bridge/config" || string(m.Payload) != *kept {
		t.Errorf("published %s on %s", m.Payload, m.Topic)
	}
	s.restore([]byte(strings.Replace(*kept, "voltage_a", "current_a", 1)))
	if s.keeper.Table().Text != table {
		t.Errorf("a second one counts: %q", s.keeper.Table().Text)
	}

	for name, row := range map[string]struct {
		kept   string
		change func(*Config)
	}{
		"not allowed":  {*kept, func(c *Config) { delete(c.Allow, "config") }},
		"another file": {*kept, func(c *Config) { c.Points = &points.Table{Text: "meter,item\n"} }},
		"no JSON":      {"voltage_a", nil},
		"tampered":     {strings.Replace(*kept, "voltage_a", "current_a", 1), nil},
		"other meters": {*kept, func(c *Config) { c.Meters = c.Meters[1:]; c.Points = file }},
	} {
		s := newStage(t, func(c *Config) {
			configurable(c)
			if row.change != nil {
				row.change(c)
			}
		})
		before := s.keeper.Table()
		s.restore([]byte(row.kept))
		if s.keeper.Table() != before {
			t.Errorf("%s: in force is %q", name, s.keeper.Table().Text)
		}
		if m := <-s.sent; m.Topic != "test/bridge/config" || len(m.Payload) > 0 || !m.Kind.Retained() {
			t.Errorf("%s: published %q on %s, want the kept table taken back", name, m.Payload, m.Topic)
		}
	}
	// What a client has sent is newer than what the broker kept.
	s = newStage(t, configurable)
	s.configure(t, "off")
	s.restore([]byte(*kept))
	if len(s.keeper.Table().Points) > 0 {
		t.Errorf("in force is %q", s.keeper.Table().Text)
	}
}

// TestConfigureWhilePolling goes over from the file's table to one that came by MQTT.
func TestConfigureWhilePolling(t *testing.T) {
	asked := map[string]int{}
	poll(t, "meter,item,interval\nmain,voltage_a,10s\n", 0, func(_, item string) string { asked[item]++; return "1.0" }, func(p *post) {
		p.config.Allow["config"] = true
		time.Sleep(31 * time.Second)
		if reply, _ := p.configure(p.t, "meter,item,interval\nmain,current_a,10s\n"); reply["ok"] != true {
			t.Errorf("reply %v", reply)
		}
		p.meters(func() { clear(asked) })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		p.meters(func() {
			if asked["voltage_a"] > 0 || asked["current_a"] < 3 {
				t.Errorf("asked %v", asked)
			}
		})
	})
}
