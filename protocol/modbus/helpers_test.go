package modbus

import (
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

// wire is a frame as it travels; the data are hex.
func wire(address byte, f Function, data string) []byte {
	return mustAppend(Frame{address, f, frametest.FromHex(data)})
}

// parse reads a map known to be good.
func parse(t testing.TB, rows ...string) *Map {
	t.Helper()
	m, err := ParseMap("test", strings.Join(append([]string{strings.Join(Columns, ",")}, rows...), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
