package cjt188

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	"dlt645-mqtt/protocol/frametest"
)

// shanghai is the zone in which the meters of the tests keep their time.
var shanghai = time.FixedZone("CST", 8*60*60)

// address is an address known to be good.
func address(text string) Address {
	a, err := ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return a
}

// wire is a frame as it travels; the data are hex.
func wire(t Type, from string, control Control, data string) []byte {
	return mustAppend(Frame{t, address(from), control, frametest.FromHex(data)})
}

// A vector is a line of testdata/frames.jsonl: a frame that was published, and what is in it.
type vector struct {
	Frame    string
	Type     string
	Address  string
	Control  string
	DI       string
	LowFirst bool `json:"low_first"`
	Ser      int
	Values   json.RawMessage
	Units    map[string]string
	Note     string
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	file, err := os.Open("testdata/frames.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		all = append(all, v)
	}
	if len(all) < 31 || lines.Err() != nil {
		t.Fatalf("%d frames were read: %v", len(all), lines.Err())
	}
	return all
}
