package cjt188

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// shanghai is the zone in which the meters of the tests keep their time.
var shanghai = time.FixedZone("CST", 8*60*60)

// fromHex reads hex known to be good, in which spaces do not count.
func fromHex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

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
	return mustAppend(Frame{t, address(from), control, fromHex(data)})
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

// trickle gives a stream to a split function one byte at a time, then silence.
func trickle(t testing.TB, split bufio.SplitFunc, stream []byte) []byte {
	t.Helper()
	var buffer []byte
	for i := range len(stream) + 1 {
		atEOF := i == len(stream)
		if !atEOF {
			buffer = append(buffer, stream[i])
		}
		advance, token, err := split(buffer, atEOF)
		if err != nil || advance < 0 || advance > len(buffer) || token != nil && advance < len(token) {
			t.Fatalf("split %X: advance %d, token %X, %v", buffer, advance, token, err)
		}
		if token != nil {
			return bytes.Clone(token)
		}
		buffer = buffer[advance:]
	}
	return nil
}

// wholly gives a split function everything at once, then silence.
func wholly(split bufio.SplitFunc, stream []byte) []byte {
	for _, atEOF := range []bool{false, true} {
		advance, token, _ := split(stream, atEOF)
		if token != nil {
			return token
		}
		stream = stream[advance:]
	}
	return nil
}
