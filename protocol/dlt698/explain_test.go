package dlt698

import (
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

// TestExplainLogical says which part of a device has answered in place of the one that was asked.
func TestExplainLogical(t *testing.T) {
	address := mustAddress("000000000010")
	a := &awaited{from: address, client: client}
	address.Logical = 1
	frame := mustAppend(Frame{Control: answer, Address: address, Client: client, Data: frametest.FromHex("85 01 01 20 0F 02 00 01 12 13 86 00 00")})
	if got := a.explainer(nil)(frame); !strings.Contains(got, "from its logical address 1, where 0 was asked: configure it with logical=1") {
		t.Errorf("%s", got)
	}
}

// TestForeignAttributeOfAList is garbled, and says so once.
func TestForeignAttributeOfAList(t *testing.T) {
	step := stepFor(t, "voltage_a", "frequency")
	frame := answerTo(t, step.First.Request, "85 02 00 02 20 0F 02 00 01 12 13 86 20 01 02 01 01 05 00 00 00 01 00 00", nil)
	_, token, _ := step.First.Answer(frame, true)
	_, _, err := step.First.Take(token)
	if err == nil || strings.Count(err.Error(), "no valid answer") != 1 || !strings.Contains(err.Error(), "20010201 came, which was not asked for") {
		t.Errorf("%v", err)
	}
}
