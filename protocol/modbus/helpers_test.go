package modbus

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
)

// fromHex reads hex known to be good, in which spaces do not count.
func fromHex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// wire is a frame as it travels; the data are hex.
func wire(address byte, f Function, data string) []byte {
	return mustAppend(Frame{address, f, fromHex(data)})
}

// show writes values as "name=data unit", in one line.
func show(values []protocol.Value) string {
	var texts []string
	for _, value := range values {
		data, err := json.Marshal(value.Data)
		if err != nil {
			data = []byte(err.Error())
		}
		texts = append(texts, strings.TrimRight(fmt.Sprintf("%s=%s %s", value.Name, data, value.Unit), " "))
	}
	return strings.Join(texts, "; ")
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

// parse reads a map known to be good.
func parse(t testing.TB, rows ...string) *Map {
	t.Helper()
	m, err := ParseMap("test", strings.Join(append([]string{strings.Join(Columns, ",")}, rows...), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
