// Package frametest has what the tests of protocols share: hex, streams that come in pieces, and values in
// one line.
package frametest

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

// FromHex reads hex known to be good, in which spaces do not count.
func FromHex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Show writes values as "name=data unit", in one line.
func Show(values []protocol.Value) string {
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

// Trickle gives a stream to a split function one byte at a time, then silence. It returns what is cut first.
func Trickle(t testing.TB, split bufio.SplitFunc, stream []byte) []byte {
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

// Wholly gives a split function everything at once, then silence. It returns what is cut first.
func Wholly(split bufio.SplitFunc, stream []byte) []byte {
	for _, atEOF := range []bool{false, true} {
		advance, token, _ := split(stream, atEOF)
		if token != nil {
			return token
		}
		stream = stream[advance:]
	}
	return nil
}

// FuzzParse has a fuzz target parse whatever comes. What is a frame is written as it came, without the wake-up bytes that
// trim takes away; beside an error there is nothing.
func FuzzParse[F interface {
	AppendBinary(b []byte) ([]byte, error)
}](f *testing.F, parse func([]byte) (F, error), empty func(F) bool, trim func([]byte) []byte) {
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := parse(b)
		if err != nil {
			if !empty(frame) {
				t.Errorf("%X: a frame %v with an error", b, frame)
			}
			return
		}
		got, err := frame.AppendBinary(nil)
		if want := trim(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%X: appended %X, %v", want, got, err)
		}
	})
}

// Follow carries a plan out to its end. The function do carries out one step. What comes back are values and
// errors by item, the last report, and the error that has ended the plan.
func Follow(t testing.TB, plan protocol.Plan, do func(step *protocol.Step) protocol.Answer) (values map[string]protocol.Value, failed map[string]error, report *protocol.Report, end error) {
	t.Helper()
	values, failed = map[string]protocol.Value{}, map[string]error{}
	const mostPlans = 30
	for range mostPlans {
		for _, e := range plan.Errors {
			failed[e.Item] = e.Err
		}
		if plan.Report != nil {
			report = plan.Report
		}
		var answers []protocol.Answer
		for i := range plan.Steps {
			step := &plan.Steps[i]
			answer := do(step)
			for _, item := range step.Items {
				delete(failed, item)
				if answer.Err != nil {
					failed[item] = answer.Err
				}
			}
			if answer.Err == nil {
				for _, value := range step.Values(answer.Result) {
					values[value.Name] = value
				}
			}
			answers = append(answers, answer)
		}
		if plan.Then == nil {
			return values, failed, report, nil
		}
		var err error
		if plan, err = plan.Then(answers); err != nil {
			return values, failed, report, err
		}
	}
	t.Fatal("the plan does not end")
	return nil, nil, nil, nil
}
