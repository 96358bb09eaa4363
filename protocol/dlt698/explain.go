package dlt698

import (
	"bytes"
	"fmt"
	"strings"
)

// mostExplained bounds the frames of which an explanation speaks.
const mostExplained = 3

// explainer returns what says in words which sound frames came in place of the answer to a request:
// the Explain of an exchange.
func (a *awaited) explainer(own []byte) func(heard []byte) string {
	return func(heard []byte) string {
		var said []string
		for len(heard) > 0 && len(said) < mostExplained {
			advance, token, _ := SplitFrame(heard, true)
			heard = heard[advance:]
			if token == nil || bytes.Equal(token, own) { // the master hears itself on many adapters
				continue
			}
			if text := a.explain(frameIn(token)); len(said) == 0 || said[len(said)-1] != text {
				said = append(said, text)
			}
		}
		return strings.Join(said, "; ")
	}
}

// explain says what a sound frame is that came after a request.
func (a *awaited) explain(f Frame) string {
	asked := "which was not asked"
	if a.from != Anyone {
		asked = fmt.Sprintf("where %s was asked", a.from)
	}
	switch {
	case !f.Control.FromServer():
		return fmt.Sprintf("another master asks meter %s (%s)", f.Address, phrase(f))
	case f.Address.Logical != a.from.Logical && f.Address.String() == a.from.String():
		return fmt.Sprintf("meter %s answers from its logical address %d, where %d was asked: configure it with %s=%d", f.Address, f.Address.Logical, a.from.Logical, optionLogical, f.Address.Logical)
	case !a.from.Matches(f.Address):
		return fmt.Sprintf("meter %s answers (%s), %s", f.Address, phrase(f), asked)
	case f.Client != a.client:
		return fmt.Sprintf("meter %s answers client %02X, which is not us", f.Address, f.Client)
	}
	return fmt.Sprintf("meter %s answers to another request (%s)", f.Address, phrase(f))
}

// phrase names the service of a frame and the attribute that it is about.
func phrase(f Frame) string {
	if f.Control.Fragmented() {
		return "a fragment"
	}
	apdu, err := ParseAPDU(f.Data)
	if err != nil {
		return "an APDU that cannot be read"
	}
	text := apdu.Service.String()
	if len(apdu.Entries) > 0 {
		text += " " + apdu.Entries[0].OAD.String()
	}
	return text
}
