//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A bridgeReply is what the chaos looks at in the bridge's JSON.
type bridgeReply struct {
	ID       json.RawMessage
	Request  string
	Address  string
	OK       bool
	Time     time.Time
	Values   map[string]json.RawMessage
	Errors   map[string]problem
	Error    *problem
	Result   string
	Repeated bool
	Frame    string
	Message  string
	Stopped  *problem
}

type problem struct{ Code, Message string }

// codes is the closed list of the contract. An internal error is a fault in the bridge.
var codes = []string{
	"bad_request", "unknown_meter", "unknown_item", "not_allowed", "unsupported", "busy", "expired",
	"conflict", "timeout", "garbled", "refused", "bus_down", "stopping",
}

var verbs = []string{"read", "write", "relay", "maintenance", "broadcast", "raw", "scan", "config"}

// parseReply reads a reply and checks what holds for every one.
func parseReply(payload []byte) (*bridgeReply, error) {
	r := &bridgeReply{}
	if err := json.Unmarshal(payload, r); err != nil {
		return nil, fmt.Errorf("the reply is no JSON: %w", err)
	}
	all := []problem{}
	for _, p := range r.Errors {
		all = append(all, p)
	}
	for _, p := range []*problem{r.Error, r.Stopped} {
		if p != nil {
			all = append(all, *p)
		}
	}
	for _, p := range all {
		if !slices.Contains(codes, p.Code) {
			return r, fmt.Errorf("the code %s: %s", p.Code, p.Message)
		}
	}
	if r.OK != (len(all) == 0) && r.Result == "" {
		return r, fmt.Errorf("ok is %t with %d errors", r.OK, len(all))
	}
	return r, nil
}

// verb is the verb for a table: what clients invent has no row of its own.
func (r *bridgeReply) verb() string {
	if slices.Contains(verbs, r.Request) {
		return r.Request
	}
	return "other"
}

// outcome is what the reply came to, in a word.
func (r *bridgeReply) outcome() string {
	switch {
	case r.Repeated:
		return "repeated"
	case r.Error != nil:
		return r.Error.Code
	case r.Result != "":
		return r.Result
	case r.OK:
		return "ok"
	case r.Stopped != nil:
		return "stopped"
	case len(r.Values) > 0:
		return "partial"
	}
	for _, p := range r.Errors {
		return p.Code
	}
	return "nothing"
}

// success reports whether a reply claims that the meter did what it was told.
func (r *bridgeReply) success() bool { return r.Result == "verified" || r.Result == "acknowledged" }

// denial reports whether a reply claims that nothing was done.
func (r *bridgeReply) denial() bool { return r.Error != nil || r.Result == "refused" }
