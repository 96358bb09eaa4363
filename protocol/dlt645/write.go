package dlt645

import (
	"cmp"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// mostWritten is the most data that a frame may carry, identifier and password among them.
// Clause 5.2.4 of DL/T 645-2007 has 50 bytes for a write; the tables of amended meters need
// more, but never more than an answer may have.
const mostWritten = 200

// A writer plans the writing of one item: function 14H, and 04H in the 1997 edition.
type writer struct {
	*commander
	item Item             // whole; without a name where the table lacks the identifier
	sent []protocol.Value // what is written, as a read would bring it
}

// planWrite plans a write, and the reading of what the meter then has.
func (c *commander) planWrite() (protocol.Plan, error) {
	item, err := c.writable(c.Item)
	if err != nil {
		return protocol.Plan{}, err
	}
	value, err := c.encode(item, c.Value)
	if err != nil {
		return protocol.Plan{}, err
	}
	if isClock(item.DI, c.version) {
		if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
			return protocol.Plan{}, err
		}
	}
	step, err := c.write(item.DI, value)
	if err != nil {
		return protocol.Plan{}, err
	}
	w := &writer{c, item, nil}
	if w.sent, err = w.decode(value); err != nil {
		return protocol.Plan{}, err
	}
	plan := c.plan(step)
	if isClock(item.DI, c.version) {
		plan = plan.UntilMidnight(c.Now, c.zone)
	}
	plan.Then = w.written
	return plan, nil
}

// writable finds an item that may be written as a whole.
func (c *commander) writable(text string) (Item, error) {
	if text == "" {
		return Item{}, badRequest("a write names the item to be written")
	}
	item, err := c.find(text)
	if err != nil {
		return Item{}, err
	}
	name := cmp.Or(item.Name, item.DI.Format(c.version))
	whole := item
	whole.Only = ""
	switch {
	case isPassword(item.DI, c.version):
		return Item{}, badRequest("%s is a password, or holds one: change it with the maintenance action set_password", name)
	case item.Name != "" && !strings.Contains(item.Access, "W"):
		return Item{}, badRequest("%s (%s) can be read but not written", name, item.DI.Format(c.version))
	case item.Only != "":
		return Item{}, badRequest("%s is a part of %s, which can only be written as a whole: give the value of %s", item.Only, name, name)
	case c.version == V2007 && item.DI.holds(diAddress, V2007):
		return Item{}, badRequest("%s is the address under which the meter answers, or holds it: change it with the maintenance action set_address", name)
	case c.version == V2007 && isPortSpeed(item.DI):
		return Item{}, badRequest("%s is the speed of a port, or holds it, without which the meter is not heard any more: change that of the port on this bus with the maintenance action set_baud", name)
	}
	return whole, nil
}

// isPortSpeed reports whether an identifier is one of the speed words of the ports 1 to 3, or of a block that holds one; those
// before them are of infrared ports.
func isPortSpeed(di DI) bool {
	return slices.ContainsFunc([]DI{0x04000703, 0x04000704, 0x04000705}, func(word DI) bool { return di.holds(word, V2007) })
}

// encode returns the data of a value that is to be written.
func (c *commander) encode(item Item, value any) ([]byte, error) {
	if item.Name == "" {
		return c.encodeUnknown(item.DI, value)
	}
	if isIncomplete(value) {
		return nil, badRequest("%s: null is no value that can be written", item.Name)
	}
	data, err := item.appendValue(nil, value, c.zone)
	if err != nil {
		// What it is about comes first, whatever sort of error it is.
		return nil, badRequest("%s", strings.Replace(err.Error(), protocol.ErrBadRequest.Error()+": ", "", 1))
	}
	// What was left out of an object would be written as FF bytes, which stand for no value.
	values, err := item.Decode(data, c.zone)
	if err != nil {
		return nil, badRequest("%s: %v does not fit: %v", item.Name, value, err)
	}
	given, _ := value.(map[string]any)
	for _, v := range values {
		if _, ok := given[v.Name]; isIncomplete(v.Data) && given != nil && !ok && isOwn(v.Name) {
			return nil, badRequest("%s: a value for %s is missing; all of them are written at once", item.Name, v.Name)
		}
	}
	return data, nil
}

// encodeUnknown reads the value of an identifier that the table lacks: hexadecimal digits, the
// most significant byte first, as a read shows them.
func (c *commander) encodeUnknown(di DI, value any) ([]byte, error) {
	text, _ := value.(string)
	data, err := hex.DecodeString(text)
	if err != nil || len(data) == 0 {
		return nil, badRequest("%s is not in the table of items, so its value is a string of hexadecimal digits, two for each byte, the most significant byte first, as a read shows it", di.Format(c.version))
	}
	slices.Reverse(data)
	return data, nil
}

// isIncomplete reports whether something in a value is null.
func isIncomplete(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(v, isIncomplete)
	case map[string]any:
		for _, member := range v {
			if isIncomplete(member) {
				return true
			}
		}
	}
	return false
}

// isOwn reports whether a value is given by itself, and does not follow from another.
func isOwn(name string) bool {
	return !strings.Contains(name, ".") && !strings.HasSuffix(name, "_weekday")
}

// write is the step that writes data under an identifier: DI, PA P0 P1 P2, C0 to C3, data.
// Clause 7.3 of DL/T 645-2007; the 1997 edition has no operator code.
func (c *commander) write(di DI, value []byte) (protocol.Step, error) {
	function, data, err := c.writing(di)
	if err != nil {
		return protocol.Step{}, err
	}
	if data = append(data, value...); len(data) > mostWritten {
		return protocol.Step{}, badRequest("%s would take %d bytes of data in a frame; the most are %d", di.Format(c.version), len(data), mostWritten)
	}
	return c.send(function, data), nil
}

// writing returns the function that writes and the data before the value.
func (c *commander) writing(di DI) (Function, []byte, error) {
	credentials, err := c.credentials(levelOfWriting)
	if err != nil {
		return 0, nil, err
	}
	function := FunctionWrite
	if c.version == V1997 {
		function = FunctionWrite1997
	}
	return function, append(di.Append(nil, c.version), credentials...), nil
}

// decode returns data as a read of the item would bring them.
func (w *writer) decode(data []byte) ([]protocol.Value, error) {
	c := &conversation{meters: w.Meters, item: w.item}
	return c.values(data)
}

// written plans the reading of what was written, also if no answer came.
func (w *writer) written(answers []protocol.Answer) (protocol.Plan, error) {
	answer := answers[0]
	was := protocol.EndingOf(answer)
	if !was.MayBeDone() {
		return w.plan(), nil
	}
	if w.item.Name != "" && !strings.Contains(w.item.Access, "R") {
		return w.report(protocol.Report{Note: w.item.Name + " cannot be read, so nothing tells what the meter has now."}), nil
	}
	plan := w.plan(w.read(w.address, w.item.DI))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		return w.report(w.compare(answers[0], was, answer.Came)), nil
	}
	return plan, nil
}

// compare reports whether what was read is what was written at that time.
func (w *writer) compare(read protocol.Answer, was protocol.Ending, at time.Time) protocol.Report {
	name := cmp.Or(w.item.Name, w.item.DI.Format(w.version))
	return protocol.ReportWritten(name, was, read, func() (*protocol.Value, bool) {
		return w.value(read.Result.Values), w.isAsSent(read.Result.Values, read.Came.Sub(at))
	})
}

// value puts together what was read: the one value of an item, or an object of all of them.
func (w *writer) value(values []protocol.Value) *protocol.Value {
	whole := &protocol.Value{Name: cmp.Or(w.item.Name, w.item.DI.Format(w.version)), Unit: w.item.Unit}
	object := make(map[string]any)
	for _, v := range values {
		if isOwn(v.Name) {
			object[v.Name] = v.Data
		}
	}
	whole.Data = object
	if len(object) == 1 && (w.item.Name == "" || w.item.needsOne()) {
		whole.Data = values[0].Data
	}
	return whole
}

// isAsSent reports whether values read so long after the write are those written. A clock has
// gone on meanwhile.
func (w *writer) isAsSent(values []protocol.Value, passed time.Duration) bool {
	for _, sent := range w.sent {
		if strings.HasSuffix(sent.Name, "_weekday") && valueOf(values, sent.Name) == nil {
			continue // the meter may count the days in another way
		}
		if !isSame(sent.Data, valueOf(values, sent.Name), passed, isClock(w.item.DI, w.version)) {
			return false
		}
	}
	return true
}

// isSame compares a value that was sent with one that was read.
func isSame(sent, read any, passed time.Duration, isClock bool) bool {
	if reflect.DeepEqual(sent, read) {
		return true
	}
	from, ok1 := sent.(string)
	to, ok2 := read.(string)
	if !isClock || !ok1 || !ok2 {
		return false
	}
	for _, layout := range []string{time.RFC3339, time.TimeOnly} {
		a, err1 := time.Parse(layout, from)
		b, err2 := time.Parse(layout, to)
		if err1 == nil && err2 == nil {
			return (b.Sub(a) - passed).Abs() <= protocol.MostClockDrift
		}
	}
	return false
}
