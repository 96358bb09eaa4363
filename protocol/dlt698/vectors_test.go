package dlt698

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// A vector is a frame of testdata/frames.jsonl: captures and frames of public documentation,
// with what they say.
type vector struct {
	Hex     string            `json:"hex"`
	Dir     string            `json:"dir"`
	Meaning string            `json:"meaning"`
	Parts   []json.RawMessage `json:"values"`
	Note    string            `json:"note"`
}

type vectorLink struct {
	Len      int
	C        string
	Logical  uint8
	AddrType string `json:"addrType"`
	SA       string
	CA       string
}

type vectorAPDU struct {
	Service byte
	Name    string
	Choice  byte
	PIID    byte
	OADs    []string
	Results []map[string]any
	Records []vectorRecord
	Sets    []map[string]any
	Actions []map[string]any
	Inner   *vectorAPDU
	MAC     string
	Check   struct {
		RN, MAC, Extra string
		SID            uint32
	}
}

type vectorRecord struct {
	OAD  string
	RSD  *map[string]any
	RCSD []any
	Cols []any
	Rows [][]map[string]any
}

type engineering struct {
	OAD   string
	Value any
	Unit  string
}

// part decodes the part of a vector that is under a key.
func (v vector) part(t *testing.T, key string, into any) bool {
	t.Helper()
	for _, raw := range v.Parts {
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil {
			t.Fatal(err)
		}
		if parts[key] == nil {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(parts[key]))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return true
	}
	return false
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/frames.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// TestVectorsParse reads every published frame, and writes what was read.
func TestVectorsParse(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Hex[:min(len(v.Hex), 24)], func(t *testing.T) {
			frame := frametest.FromHex(v.Hex)
			f, err := ParseFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			var link vectorLink
			v.part(t, "link", &link)
			if f.Address.String() != link.SA || f.Address.Kind.String() != link.AddrType || f.Address.Logical != link.Logical ||
				fmt.Sprintf("%02X", f.Client) != link.CA || f.Control.String() != link.C || len(octet.TrimWakeUp(frame)) != link.Len+2 {
				t.Errorf("read as %v of %s %s, client %02X; want %+v", f.Control, f.Address.Kind, f.Address, f.Client, link)
			}
			if again, err := f.AppendBinary(nil); err != nil || !bytes.Equal(again, octet.TrimWakeUp(frame)) {
				t.Errorf("written as % X (%v)", again, err)
			}
			a, err := ParseAPDU(f.Data)
			if err != nil {
				t.Fatal(err)
			}
			if again := a.Append(nil); !bytes.Equal(again, f.Data) {
				t.Errorf("the APDU is written as % X, want % X", again, f.Data)
			}
		})
	}
}

// TestVectorsBuild builds every published frame out of what it says, where that is all spelled out.
func TestVectorsBuild(t *testing.T) {
	built := 0
	for _, v := range vectors(t) {
		var link vectorLink
		var want vectorAPDU
		v.part(t, "link", &link)
		v.part(t, "apdu", &want)
		a, ok := want.build(t)
		if !ok {
			continue
		}
		built++
		address, err := ParseAddress(link.SA)
		if err != nil {
			t.Fatal(err)
		}
		address.size = uint8(len(link.SA) / 2)
		copy(address.number[:], frametest.FromHex(link.SA))
		address.Logical = link.Logical
		f := Frame{Control: Control(frametest.FromHex(link.C)[0]), Address: address, Client: frametest.FromHex(link.CA)[0], Data: a.Append(nil)}
		got, err := f.AppendBinary(nil)
		if err != nil || octet.Hex(got) != strings.TrimLeft(v.Hex, "FE") {
			t.Errorf("%s\nbuilt as %X (%v)\nwant     %s", v.Meaning, got, err, v.Hex)
		}
	}
	if built < 48 {
		t.Errorf("only %d of the frames could be built out of what they say", built)
	}
}

// build makes an APDU of what a vector says.
func (w *vectorAPDU) build(t *testing.T) (*APDU, bool) {
	t.Helper()
	a := &APDU{Service: Service(w.Service), Choice: w.Choice, PIID: w.PIID}
	switch {
	case w.Inner != nil:
		inner, ok := w.Inner.build(t)
		if !ok {
			return nil, false
		}
		a.Sealed = &Sealed{APDU: inner.Append(nil)}
		switch {
		case a.Service&Answered != 0:
			a.Sealed.HasMAC, a.Sealed.MAC = true, frametest.FromHex(w.MAC)
		case w.Check.RN != "":
			a.Sealed.Check, a.Sealed.RN = CheckRN, frametest.FromHex(w.Check.RN)
		default:
			id := w.Check.SID
			a.Sealed.ID = []byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
			a.Sealed.Extra, a.Sealed.MAC = frametest.FromHex(w.Check.Extra), frametest.FromHex(w.Check.MAC)
		}
		return a, true
	case w.OADs != nil:
		for _, oad := range w.OADs {
			a.Entries = append(a.Entries, Entry{OAD: oadOf(t, oad)})
		}
	case w.Records != nil:
		for _, record := range w.Records {
			a.Entries = append(a.Entries, record.build(t))
		}
	case w.Results != nil || w.Sets != nil || w.Actions != nil:
		for _, list := range [][]map[string]any{w.Results, w.Sets, w.Actions} {
			for _, result := range list {
				a.Entries = append(a.Entries, entryOf(t, result))
			}
		}
	default:
		return nil, false
	}
	return a, true
}

func oadOf(t *testing.T, text any) OAD {
	t.Helper()
	oad, err := ParseOAD(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return oad
}

func entryOf(t *testing.T, result map[string]any) (e Entry) {
	t.Helper()
	if oad, ok := result["oad"]; ok {
		e.OAD = oadOf(t, oad)
	} else {
		e.OAD = oadOf(t, result["omd"])
	}
	if dar, ok := result["dar"]; ok {
		n, _ := dar.(json.Number).Int64()
		e.DAR = DAR(n)
	}
	if data, ok := result["data"].(map[string]any); ok {
		e.Data, e.Has = dataOf(t, data), true
	}
	return e
}

func (w vectorRecord) build(t *testing.T) Entry {
	t.Helper()
	e := Entry{OAD: oadOf(t, w.OAD), Has: true}
	for _, column := range append(w.RCSD, w.Cols...) {
		e.Columns = append(e.Columns, csdOf(t, column))
	}
	if w.RSD != nil {
		e.RSD = rsdOf(t, *w.RSD)
	}
	for _, row := range w.Rows {
		for _, cell := range row {
			e.Cells = append(e.Cells, dataOf(t, cell))
		}
	}
	return e
}

func csdOf(t *testing.T, column any) (c CSD) {
	t.Helper()
	if text, ok := column.(string); ok {
		return CSD{OAD: oadOf(t, text)}
	}
	road := column.(map[string]any)
	c.OAD = oadOf(t, road["oad"])
	for _, related := range road["rel"].([]any) {
		c.Related = append(c.Related, oadOf(t, related))
	}
	return c
}

func rsdOf(t *testing.T, w map[string]any) (s RSD) {
	t.Helper()
	n, _ := w["selector"].(json.Number).Int64()
	s.Selector = byte(n)
	if s.Selector == SelectNone {
		return s
	}
	s.OAD = oadOf(t, w["oad"])
	for _, key := range []string{"value", "from", "to", "interval"} {
		if data, ok := w[key].(map[string]any); ok {
			s.Values = append(s.Values, dataOf(t, data))
		}
	}
	return s
}

// dataOf makes a value of {"type": value}.
func dataOf(t *testing.T, typed map[string]any) Data {
	t.Helper()
	for name, value := range typed {
		tag, ok := parseTag(name)
		if !ok {
			t.Fatalf("there is no type %q", name)
		}
		switch value := value.(type) {
		case nil:
			return Data{Tag: tag}
		case json.Number:
			n, _ := value.Int64()
			return NumberOf(tag, n)
		case []any:
			return listOf(t, tag, value)
		case map[string]any: // the only one is an RSD
			return Data{Tag: tag, Bytes: rsdOf(t, value).append(nil)}
		case string:
			return wordOf(t, tag, value)
		}
	}
	t.Fatalf("%v is no value", typed)
	return Data{}
}

func listOf(t *testing.T, tag Tag, list []any) Data {
	t.Helper()
	d := Data{Tag: tag}
	if tag == TagRCSD {
		var columns []CSD
		for _, column := range list {
			columns = append(columns, csdOf(t, column))
		}
		d.Bytes = appendColumns(nil, columns)
		return d
	}
	for _, item := range list {
		d.Items = append(d.Items, dataOf(t, item.(map[string]any)))
	}
	return d
}

func wordOf(t *testing.T, tag Tag, text string) Data {
	t.Helper()
	switch tag {
	case TagOAD:
		return NumberOf(tag, int64(oadOf(t, text)))
	case OctetString:
		return OctetsOf(tag, frametest.FromHex(text))
	case VisibleString:
		return OctetsOf(tag, []byte(text))
	case DateTimeS:
		moment, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return MomentOf(moment)
	case TI:
		if text == "20s" {
			return Data{Tag: TI, Bytes: []byte{0, 0, 20}}
		}
	}
	t.Fatalf("no %s is made of %q", tag, text)
	return Data{}
}
