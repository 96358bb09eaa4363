package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// history plans to read items one after the other, a step each: what each one has is stored
// at hours from the beginning on, and "end" is where the next request goes on.
func (p parrot) history(request protocol.Request) (protocol.Plan, error) {
	if request.Items[0] == "voltage_a" {
		return protocol.Plan{}, fmt.Errorf("%w: it is not stored", protocol.ErrUnsupported)
	}
	return p.portion(request, protocol.History{}, 0), nil
}

func (p parrot) portion(request protocol.Request, sofar protocol.History, n int) protocol.Plan {
	plan := protocol.Plan{Address: request.Address, Permission: protocol.PermitRead}
	at := request.From.Add(time.Duration(n) * time.Hour)
	if n == len(request.Items) || !request.To.IsZero() && !at.Before(request.To) || request.Items[n] == "end" {
		if n < len(request.Items) {
			sofar.Next = at
		}
		plan.History = &sofar
		return plan
	}
	step := p.step(request.Address.Text, request.Items[n])
	step.Key, step.Items, step.Only = "", nil, []string{}
	plan.Steps = []protocol.Step{step}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if answer := answers[0]; answer.Err == nil {
			sofar.Samples = append(sofar.Samples, protocol.Sample{Time: at, Values: answer.Result.Values})
			return p.portion(request, sofar, n+1), nil
		}
		why := protocol.ItemError{Item: request.Items[0], Err: answers[0].Err}
		return protocol.Plan{Address: request.Address, History: &sofar, Errors: []protocol.ItemError{why}}, nil
	}
	return plan
}

func TestHistoryReply(t *testing.T) {
	for _, test := range []struct {
		name, meter, body string
		want              string // behind the time of the reply
		code              string // of the error of its first item
	}{
		{"all", "main", `{"items":["a","b"],"from":"2026-11-20T00:00:00+08:00"}`,
			`"values":{},"units":{"a":"V","b":"V"},"errors":{},` +
				`"samples":[{"time":"2026-11-19T16:00:00Z","values":{"a":220.10}},{"time":"2026-11-19T17:00:00Z","values":{"b":220.10}}],"bus"`, ""},
		{"to a moment, and what follows", "main", `{"items":["a","b"],"from":"2026-11-20T00:00:00+08:00","to":"2026-11-19T17:00:00Z"}`,
			`"samples":[{"time":"2026-11-19T16:00:00Z","values":{"a":220.10}}],"next":"2026-11-19T17:00:00Z","bus"`, ""},
		{"nothing", "main", `{"items":["end"],"from":"0001-01-01T00:00:00Z"}`,
			`"values":{},"units":{},"errors":{},"samples":[],"next":"1970-01-01T00:00:00Z","bus"`, ""},
		{"until something is wrong", "main", `{"items":["a","noise","b"],"from":"2026-11-20T00:00:00Z"}`,
			`"samples":[{"time":"2026-11-20T00:00:00Z","values":{"a":220.10}}],"bus"`, "garbled"},
		{"refused", "main", `{"items":["secret"],"from":"2026-11-20T00:00:00Z"}`, `"samples":[],"bus"`, "refused"},
		{"silent", "dead", `{"items":["a"],"from":"2026-11-20T00:00:00Z"}`, `"samples":[],"bus"`, "timeout"},
		{"not stored", "main", `{"items":["voltage_a"],"from":"2026-11-20T00:00:00Z"}`, `"values":{},"units":{},"errors":{},"samples":[]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, nil)
			sent, _ := s.ask(t, message{topic: "test/request/read/" + test.meter, payload: []byte(test.body)})
			if !strings.Contains(string(sent.Payload), test.want) {
				t.Errorf("reply %s, want %s", sent.Payload, test.want)
			}
			var got struct {
				OK     bool
				Errors map[string]problem
				Error  *problem
			}
			if err := json.Unmarshal(sent.Payload, &got); err != nil {
				t.Fatal(err)
			}
			if got.OK != (len(got.Errors) == 0 && got.Error == nil) || len(got.Errors) > 1 {
				t.Errorf("reply %s", sent.Payload)
			}
			for _, e := range got.Errors {
				if string(e.Code) != test.code {
					t.Errorf("error %+v, want %s", e, test.code)
				}
			}
			if (test.code != "") != (len(got.Errors) > 0) {
				t.Errorf("errors %+v, want %q", got.Errors, test.code)
			}
		})
	}
}

// A history is read from the meter, whatever is known, and asked for as often as there are
// requests.
func TestHistoryIsNotShared(t *testing.T) {
	s := newStage(t, nil)
	for range 2 {
		s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["a"],"from":"2026-11-20T00:00:00Z"}`)})
	}
	if said := s.cage.said(); len(said) != 2 {
		t.Errorf("asked %q, want twice", said)
	}
	_, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["a"],"max_age_ms":60000}`)})
	if said := s.cage.said(); len(said) != 3 || reply["ok"] != true {
		t.Errorf("asked %q, reply %v: a read took a value out of a history", said, reply)
	}
}
