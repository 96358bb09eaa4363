package dlt698

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

func seedFrames(f *testing.F) {
	f.Helper()
	for _, v := range vectors(f) {
		f.Add(frametest.FromHex(v.Hex))
	}
}

// FuzzParseFrame holds what is read to come out the same when it is written.
func FuzzParseFrame(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b)
		if err != nil {
			return
		}
		if again, err := frame.AppendBinary(nil); err != nil || !bytes.Equal(again, octet.TrimWakeUp(b)) {
			t.Errorf("% X is written as % X (%v)", b, again, err)
		}
		if advance, token, _ := SplitFrame(b, true); advance != len(b) || !bytes.Equal(token, octet.TrimWakeUp(b)) {
			t.Errorf("% X is cut out as % X", b, token)
		}
	})
}

// FuzzParseAPDU holds what is read to be the same after it was written: a length may be written
// in more ways than one.
func FuzzParseAPDU(f *testing.F) {
	for _, v := range vectors(f) {
		frame, err := ParseFrame(frametest.FromHex(v.Hex))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame.Data)
	}
	f.Add([]byte{0x85, 5, 7, 1, 0, 2, 0, 9, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAPDU(b)
		if err != nil {
			return
		}
		written := a.Append(nil)
		again, err := ParseAPDU(written)
		if err != nil {
			t.Fatalf("% X is written as % X, which is wrong: %v", b, written, err)
		}
		if twice := again.Append(nil); !bytes.Equal(written, twice) {
			t.Errorf("% X is written as % X, and then as % X", b, written, twice)
		}
	})
}

// FuzzParseData holds values to the same, and shows them.
func FuzzParseData(f *testing.F) {
	for _, seed := range []string{"0102120001120002", "5A02202102001101110200", "04051F", "600152500402000100100200", "5C05010011011105"} {
		f.Add(frametest.FromHex(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, rest, err := ParseData(b)
		if err != nil {
			return
		}
		if len(rest) > len(b) {
			t.Fatal("more is left than there was")
		}
		written := d.Append(nil)
		again, _, err := ParseData(written)
		if err != nil || !bytes.Equal(again.Append(nil), written) {
			t.Errorf("% X is written as % X, and then as % X (%v)", b, written, again.Append(nil), err)
		}
		if _, err := json.Marshal(d.Value(time.UTC)); err != nil {
			t.Errorf("% X is not shown: %v", b, err)
		}
	})
}

// FuzzDescribe explains whatever comes, and masks it.
func FuzzDescribe(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if text := Redact(b); len(text) != 2*len(b) {
			t.Errorf("% X is masked as %s", b, text)
		}
		d, err := Describe(b, time.UTC)
		if err != nil {
			return
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("% X is not explained: %v", b, err)
		}
	})
}

// FuzzDecode reads any data for any item.
func FuzzDecode(f *testing.F) {
	f.Add(uint32(0x00100200), frametest.FromHex("010206000000010600000002"))
	f.Add(uint32(0x80000300), frametest.FromHex("040880"))
	f.Add(uint32(0x20140203), frametest.FromHex("04100000"))
	f.Fuzz(func(t *testing.T, oad uint32, b []byte) {
		item, ok := Items().Lookup(OAD(oad))
		if !ok || item.IsRecord() {
			return
		}
		data, _, err := ParseData(b)
		if err != nil {
			return
		}
		values, err := item.Decode(data, time.UTC)
		for _, value := range values {
			if value.Name == "" {
				t.Errorf("%s of % X has a value without a name", item.OAD, b)
			}
			if d, ok := value.Data.(protocol.Decimal); ok && !json.Valid([]byte(d.String())) {
				t.Errorf("%s of % X is %v", item.OAD, b, d)
			}
		}
		if err != nil && values != nil {
			t.Errorf("%s of % X has values beside an error", item.OAD, b)
		}
	})
}

// FuzzParseAddress holds addresses to come out the same.
func FuzzParseAddress(f *testing.F) {
	f.Add("000000000010")
	f.Add("AAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q reads as %s, which reads as %s (%v)", text, a, again, err)
		}
		if back := addressIn(a.append(nil)); back != a {
			t.Errorf("%q travels as %s", text, back)
		}
	})
}
