package modbus

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// seeds are streams to begin with.
func seeds() [][]byte {
	answer := wire(1, ReadHolding, "04 45 0F C0 00")
	return [][]byte{
		answer, slices.Concat(answer, answer), mustAppend(readRequest(1, ReadHolding, 0x2006, 2)), wire(1, ReadHolding|refused, "02"),
		wire(1, WriteRegisters, "002C 0001 02 0002"), wire(1, WriteCoil, "0010 FF00"), nil, {0, 1, 3}, bytes.Repeat([]byte{1}, 300),
		frametest.FromHex("68 66 55 44 33 22 11 68 91 08 33 33 34 33 AB 89 67 45 7B 16"),
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b)
		if err == nil {
			if got, err := frame.AppendBinary(nil); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%X: appended %X, %v", b, got, err)
			}
		}
		d, err := Describe(b)
		if err != nil {
			return
		}
		if text, err := json.Marshal(d); err != nil || d.Hex != octet.Hex(b) {
			t.Errorf("%X: %s, %v", b, text, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for i, seed := range seeds() {
		f.Add(seed, byte(1), byte(i), uint16(0x2006), uint16(2))
	}
	f.Fuzz(func(t *testing.T, stream []byte, address, function byte, first, count uint16) {
		request := readRequest(address, Function(function%4+1), first, count%mostRegisters+1)
		if function%8 > 5 {
			request = Frame{address, WriteRegister, []byte{byte(first >> 8), byte(first), byte(count >> 8), byte(count)}}
		}
		answer := answerTo(request)
		for _, token := range [][]byte{frametest.Trickle(t, answer.split, stream), frametest.Wholly(answer.split, stream)} {
			if token == nil {
				continue
			}
			got, err := ParseFrame(token)
			switch {
			case err != nil:
				t.Fatalf("cut %X, which is no frame: %v", token, err)
			case got.Address != address || got.Function&^refused != request.Function:
				t.Errorf("cut %X, which is of another", token)
			case got.Function&refused != 0:
				if len(token) != exceptionSize {
					t.Errorf("cut the exception %X", token)
				}
			case request.Function.isRead() && len(got.Data) != 1+answer.count, !request.Function.isRead() && !bytes.Equal(token, answer.request):
				t.Errorf("cut %X, which answers another request", token)
			}
		}
	})
}

// FuzzParseMap reads any table. There is a map, or everything that is wrong with the table; and
// every row of a map reads whatever its registers hold.
func FuzzParseMap(f *testing.F) {
	for _, model := range Models() {
		data, err := builtIn.ReadFile("maps/" + model + ".csv")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), []byte{0x45, 0x0F, 0xC0, 0})
	}
	f.Add("item,area,register,type,order,scale,offset,unit,ratio,invalid,access,role\nk,,1,u16\nx,,40003,f64,DCBA,0.1,-4,V,k,NaN,RW16,relay open=1 closed=0", []byte{1})
	f.Fuzz(func(t *testing.T, table string, registers []byte) {
		m, err := ParseMap("own", table)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || m != nil {
				t.Errorf("%v, %v", m, err)
			}
			return
		}
		for _, w := range m.rows {
			data := make([]byte, 2*w.registers)
			if w.kind == Bool {
				data = data[:1]
			}
			copy(data, registers)
			if w.kind == Bool {
				data[0] &= 1
			}
			v, err := w.decode(data, nil)
			if err != nil {
				if !errors.Is(err, protocol.ErrGarbled) || v.Data != nil {
					t.Errorf("%s of %X: %v, %v", w.item, data, v, err)
				}
				continue
			}
			if _, err := json.Marshal(v); err != nil {
				t.Errorf("%s of %X: %v", w.item, data, err)
			}
		}
	})
}
