package dlt645

import (
	"bytes"
	"fmt"
	"strings"
)

// mostExplained bounds the frames of which an explanation speaks.
const mostExplained = 3

// explainer returns what says in words which sound frames came in place of the answer to a request:
// the Explain of an exchange. It speaks of what differs from the request, in this order: a frame of
// another master, another meter, another function, another item.
func (m *Meters) explainer(request Frame, v Version) func(heard []byte) string {
	return func(heard []byte) string {
		own := mustAppend(request)
		var said []string
		for len(heard) > 0 && len(said) < mostExplained {
			advance, token, _ := SplitFrame(heard, true)
			heard = heard[advance:]
			if token == nil || bytes.Equal(token, own) { // the master hears itself on many adapters
				continue
			}
			frame, err := ParseFrame(token)
			if err != nil {
				continue
			}
			if text := explain(frame, request, v); len(said) == 0 || said[len(said)-1] != text {
				said = append(said, text)
			}
		}
		return strings.Join(said, "; ")
	}
}

// explain says what a sound frame is that came after a request.
func explain(f, request Frame, v Version) string {
	asked := "which was not asked"
	if request.Address != Anyone && !request.Address.IsBroadcast() {
		asked = fmt.Sprintf("where %s was asked", request.Address)
	}
	function := f.Control.Function()
	own := request.Control.Function()
	switch {
	case !f.Control.FromMeter():
		return fmt.Sprintf("another master asks meter %s (%s)", f.Address, phrase(f, v))
	case !request.Address.Matches(f.Address) && !request.Address.IsBroadcast():
		return fmt.Sprintf("meter %s answers (%s), %s", f.Address, phrase(f, v), asked)
	case function != own:
		return fmt.Sprintf("meter %s answers to another request (%s) than the one that was sent (%s)", f.Address, phrase(f, v), phrase(request, v))
	}
	return fmt.Sprintf("meter %s answers %s, where %s was asked for", f.Address, phrase(f, v), phrase(request, v))
}

// phrase names the function of a frame and the item that it is about, and whether it is a refusal.
func phrase(f Frame, v Version) string {
	function := f.Control.Function()
	if (names2007[function] == "") != (names1997[function] == "") {
		v = function.Version()
	}
	text := fmt.Sprintf("%s %s", f.Control, function.Name(v))
	data := f.Data
	if f.Control.FromMeter() && f.Control.Refused() {
		text += ", refused"
		data, _ = splitRefusal(function, v, data)
	}
	if !namesItem(function, v) || len(data) < diSize(v) {
		return text
	}
	di := diOf(data, v)
	text += " " + di.Format(v)
	if item, ok := Items(v).Lookup(di); ok {
		text += " " + item.Name
	}
	return text
}
