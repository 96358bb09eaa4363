package modbus

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestDecode reads a value of each type.
func TestDecode(t *testing.T) {
	for _, row := range []struct{ cells, registers, want string }{
		{"coil,1,bool,,,,,,,R", "01", "x=true"},
		{"holding,1,bit3,,,,,,,R", "0008", "x=true"},
		{"holding,1,bit3,,,,,,,R", "FFF7", "x=false"},
		{"holding,1,bit8,BA,,,,,,R", "0100", "x=false"},
		{"holding,1,u8h,,,,,,,R", "1234", "x=18"},
		{"holding,1,i8l,,,,,,,R", "12FF", "x=-1"},
		{"holding,1,u16,,,,,,,R", "FFFF", "x=65535"},
		{"holding,1,u16,BA,,,,,,R", "3412", "x=4660"},
		{"holding,1,i16,,0.01,,,,,R", "FFFE", "x=-0.02"},
		{"holding,1,u16,,0.1,,V,,,R", "08FE", "x=230.2 V"},
		{"holding,1,u16,,0.1,,V,,,R", "08FC", "x=230.0 V"},
		{"holding,1,u16,,0.1,-40,°C,,,R", "0299", "x=26.5 °C"},
		{"holding,1,u16,,10,,,,,R", "0299", "x=6650"},
		{"holding,1,u16,,-1,,,,,R", "0001", "x=-1"},
		{"holding,1,u16,,,,V,,FFFF 7FFF,R", "7FFF", "x=null V"},
		{"holding,1,i16,,,,V,,8000H,R", "8000", "x=null V"},
		{"holding,1,u32,,0.01,,kWh,,,R", "0001 86A0", "x=1000.00 kWh"},
		{"holding,1,u32,CDAB,,,,,,R", "86A0 0001", "x=100000"},
		{"holding,1,u32,BADC,,,,,,R", "0100 A086", "x=100000"},
		{"holding,1,u32,DCBA,,,,,,R", "A086 0100", "x=100000"},
		{"holding,1,i32,,0.001,,kW,,,R", "FFFF FC18", "x=-1.000 kW"},
		{"holding,1,u64,,,,,,,R", "0000 0000 0001 86A0", "x=100000"},
		{"holding,1,u64,HGFEDCBA,,,,,,R", "A086 0100 0000 0000", "x=100000"},
		{"holding,1,i64,CDAB,,,,,,R", "FFFE FFFF FFFF FFFF", "x=-2"},
		{"input,1,f32,,,,V,,,R", "4366 3333", "x=230.2 V"},
		{"input,1,f32,,0.1,,V,,,R", "450F E000", "x=230.2 V"},
		{"input,1,f32,CDAB,,,V,,,R", "3333 4366", "x=230.2 V"},
		{"input,1,f32,,,,,,,R", "0000 0000", "x=0"},
		{"input,1,f32,,,,,,,R", "8000 0000", "x=0"},
		{"input,1,f32,,,,,,,R", "3DCC CCCD", "x=0.1"},
		{"input,1,f32,,,,,,,R", "4B80 0000", "x=16777216"},
		{"input,1,f32,,,,,,,R", "0000 0001", "x=0"}, // 1.4e-45
		{"input,1,f32,,,,,,,R", "2B8C BCCC", "x=0.000000000001"},
		{"input,1,f32,,,,V,,,R", "7FC0 0000", "x=null V"},
		{"input,1,f32,,,,V,,NaN,R", "FFC0 0000", "x=null V"},
		{"input,1,f64,,,,,,,R", "3FB9 9999 9999 999A", "x=0.1"},
		{"holding,1,bcd16,,0.1,,,,,R", "1234", "x=123.4"},
		{"holding,1,bcd32,CDAB,,,,,,R", "5678 1234", "x=12345678"},
		{"holding,1,string3,,,,,,,R", "4142 4320 0000", `x="ABC"`},
		{"holding,1,string2,BADC,,,,,,R", "4241 4443", `x="ABCD"`},
		{"holding,1,raw2,,,,,,,R", "0102 ABCD", `x="0102ABCD"`},
		{"coil,1,bool,,,,,,,RW,relay", "01", "x=false"},
		{"coil,1,bool,,,,,,,RW,relay open=1 closed=0", "01", "x=true"},
		{"holding,1,u16,,,,,,,RW,relay open=0x5555 closed=0xAAAA", "5555", "x=true"},
		{"holding,1,u16,,,,,,,RW,relay open=0x5555 closed=0xAAAA", "0000", "x=null"},
	} {
		t.Run(row.cells+" "+row.registers, func(t *testing.T) {
			m := parse(t, "x,"+row.cells)
			value, err := m.rows[0].decode(frametest.FromHex(row.registers), nil)
			if got := frametest.Show([]protocol.Value{value}); err != nil || got != row.want {
				t.Errorf("got %s, %v, want %s", got, err, row.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, row := range []struct{ cells, registers, want string }{
		{"holding,1,bcd16,,,,,,,R", "12A4", "12 A4 is no BCD"},
		{"holding,1,f32,,,,,,,R", "7F80 0000", "is infinite"},
		{"holding,1,f32,,,,,,,R", "7F7F FFFF", "more than 18 digits"},
		{"holding,1,u64,,,,,,,R", "FFFF FFFF FFFF FFFF", "more than 18 digits"},
		{"holding,1,string2,,,,,,,R", "41FF 0000", "byte 2 of the text is FFH"},
	} {
		m := parse(t, "x,"+row.cells)
		value, err := m.rows[0].decode(frametest.FromHex(row.registers), nil)
		if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(fmt.Sprint(err), row.want) || value.Data != nil {
			t.Errorf("%s of %s: %v, %v, want an error with %q", row.cells, row.registers, value, err, row.want)
		}
	}
}

// FuzzFloat writes floats as decimals. The decimal gives the same float again.
func FuzzFloat(f *testing.F) {
	for _, bits := range []uint32{0, 1, 0x43663333, 0x7F800000, 0xFFC00000, 0x4B800000, 0x80000001} {
		f.Add(bits)
	}
	f.Fuzz(func(t *testing.T, bits uint32) {
		value := math.Float32frombits(bits)
		form := forms["f32"]
		e, ok, err := form.number([]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)})
		if !ok || err != nil {
			if !math.IsNaN(float64(value)) && !math.IsInf(float64(value), 0) {
				t.Errorf("%v is no number: %v", value, err)
			}
			return
		}
		d, err := e.decimal()
		if err != nil {
			if math.Abs(float64(value)) < 1e17 {
				t.Errorf("%v: %v", value, err)
			}
			return
		}
		again, err := strconv.ParseFloat(d.String(), 32)
		if abs := math.Abs(float64(value)); err != nil || float32(again) != value && abs > 1e-8 || math.Abs(again-float64(value)) > 1e-17 && abs <= 1e-8 {
			t.Errorf("%v is written %s, which is %v, %v", value, d, again, err)
		}
	})
}
