package main

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestTitles: Home Assistant shows what people call the protocol of a meter as its model, where the meter says none.
func TestTitles(t *testing.T) {
	for name, p := range newProtocols(time.UTC) {
		titled, ok := p.(protocol.Titled)
		if !ok || titled.Title() == "" || titled.Title() == name {
			t.Errorf("protocol %s has no title", name)
		}
	}
}
