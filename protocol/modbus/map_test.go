package modbus

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestBuiltIn reads every map that comes with the package. Each names where its registers are from.
func TestBuiltIn(t *testing.T) {
	want := []string{"adw300", "ddsu666", "ddsy1352", "dtsd1352", "dtsu666", "sdm120", "sdm630"}
	if got := Models(); !slices.Equal(got, want) {
		t.Errorf("the models are %v, want %v", got, want)
	}
	for _, model := range Models() {
		t.Run(model, func(t *testing.T) {
			m, ok := BuiltIn(model)
			if !ok {
				t.Fatal("there is none")
			}
			if !strings.Contains(strings.Join(m.comment, "\n"), "Source") {
				t.Error("its head names no source")
			}
			for _, name := range []string{"voltage_a", "current_a", "active_power"} {
				if m.byName[name] == nil {
					t.Errorf("it has no %s", name)
				}
			}
			if m.byName["forward_active_energy"] == nil && m.byName["combined_active_energy"] == nil {
				t.Error("it has no energy")
			}
			for _, w := range m.rows {
				if w.access.write || w.zh == "" || w.zh == w.en {
					t.Errorf("%s: access %+v, %q, %q", w.item, w.access, w.en, w.zh)
				}
			}
		})
	}
	if _, ok := BuiltIn("../maps/dtsu666"); ok {
		t.Error("a path is taken for a model")
	}
}

// TestRegisters holds registers that published drivers read, with their scales.
func TestRegisters(t *testing.T) {
	for _, row := range []struct {
		model, item, registers, want string
		area                         area
		register                     uint16
	}{
		{"dtsu666", "voltage_a", "450F E000", "230.2", holdings, 0x2006},
		{"dtsu666", "current_c", "4490 0000", "1.152", holdings, 0x2010},
		{"dtsu666", "active_power", "4611 2000", "0.9288", holdings, 0x2012},
		{"dtsu666", "forward_active_energy", "42F6 E979", "123.456", holdings, 0x101E},
		{"dtsu666", "frequency", "459C 4000", "50.00", holdings, 0x2044},
		{"ddsu666", "active_power", "3F80 0000", "1", holdings, 0x2004},
		{"ddsu666", "reverse_active_energy", "3F80 0000", "1", holdings, 0x400A},
		{"dtsd1352", "combined_active_energy_t4", "0000 3039", "123.45", holdings, 8},
		{"dtsd1352", "active_power", "FFFF FC18", "-1.000", holdings, 0x16A},
		{"dtsd1352", "power_factor", "FC18", "-1.000", holdings, 0x17F},
		{"ddsy1352", "voltage_a", "08FE", "230.2", holdings, 0xB},
		{"adw300", "active_power", "0000 03E8", "1.000", holdings, 36},
		{"adw300", "reverse_active_energy", "0000 3039", "123.45", holdings, 64},
		{"sdm120", "active_power", "447A 0000", "1.000", inputs, 0x0C},
		{"sdm120", "forward_active_energy", "42F6 E979", "123.456", inputs, 0x48},
		{"sdm630", "active_power", "447A 0000", "1.000", inputs, 0x34},
		{"sdm630", "reverse_active_energy_c", "42F6 E979", "123.456", inputs, 0x164},
	} {
		m, ok := BuiltIn(row.model)
		if !ok {
			t.Fatalf("there is no %s", row.model)
		}
		w := m.byName[row.item]
		if w == nil || w.area != row.area || w.register != row.register {
			t.Errorf("%s: %s is at %+v", row.model, row.item, w)
			continue
		}
		v, err := w.decode(frametest.FromHex(row.registers), nil)
		if d, ok := v.Data.(protocol.Decimal); err != nil || !ok || d.String() != row.want {
			t.Errorf("%s: %s of %s is %v, %v, want %s", row.model, row.item, row.registers, v.Data, err, row.want)
		}
	}
}

// TestParseMap reads what people write.
func TestParseMap(t *testing.T) {
	table := "\uFEFF# A meter of our own.\n# Source: its manual.\nitem;register;type;scale;unit;longest;gap\nvoltage_a;40001;u16;0.1;V;60;4\n\nenergy;0x0010;u32;0.01;kWh;;\npower;0012H;i16;;;;2\n"
	m, err := ParseMap("own", table)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.comment, "|"); got != "A meter of our own.|Source: its manual." {
		t.Errorf("its head is %q", got)
	}
	for i, want := range []struct {
		item         string
		area         area
		register     uint16
		longest, gap int
	}{{"voltage_a", holdings, 0, 60, 4}, {"energy", holdings, 16, 60, 4}, {"power", holdings, 18, 60, 2}} {
		if w := m.rows[i]; w.item != want.item || w.area != want.area || w.register != want.register || w.longest != want.longest || w.gap != want.gap {
			t.Errorf("row %d is %+v, want %+v", i, w, want)
		}
	}
	for _, row := range []struct {
		text     string
		area     area
		register uint16
	}{{"00001", coils, 0}, {"100016", discretes, 15}, {"30005", inputs, 4}, {"465536", holdings, 65535}} {
		if a, r, ok := conventional(row.text); !ok || a != row.area || r != row.register {
			t.Errorf("%s is %v %d, %v", row.text, a, r, ok)
		}
	}
}

// TestParseMapInChinese reads the same map with Chinese words for columns, areas and accesses.
func TestParseMapInChinese(t *testing.T) {
	const english = "item,area,register,type,order,scale,offset,unit,ratio,invalid,access,role,text_en,text_zh,longest,gap\n" +
		"pt,holding,7,u16,,0.1,,,,,R,,,,,\nvoltage_a,holding,0x2000,f32,CDAB,0.1,1,V,pt,FFFFFFFF,R,,voltage,电压,20,4\nswitch,coil,1,bool,,,,,,,RW,relay open=0 closed=1,,,,\nlevel,input,3,u16,,,,,,,R,,,,,\n"
	const chinese = "数据项,寄存器区,寄存器地址,数据类型,字节序,倍率,偏移量,单位,变比,无效值,读写,用途,英文说明,中文说明,单次最多,间隔\n" +
		"pt,保持寄存器,7,u16,,0.1,,,,,只读,,,,,\nvoltage_a,保持寄存器,0x2000,f32,CDAB,0.1,1,V,pt,FFFFFFFF,读,,voltage,电压,20,4\nswitch,线圈,1,bool,,,,,,,读写,relay open=0 closed=1,,,,\nlevel,输入寄存器,3,u16,,,,,,,只读,,,,,\n"
	want, err := ParseMap("x", english)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseMap("x", chinese)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the Chinese table is %+v, the English one %+v", got, want)
	}
	for title, column := range chineseColumns {
		if !slices.Contains(Columns, column) {
			t.Errorf("%s is the column %s, which there is not", title, column)
		}
	}
	if _, err := ParseMap("x", "数据项,名称,寄存器,类型\n"); err == nil || !strings.Contains(err.Error(), "the column item stands there twice") {
		t.Errorf("a column that is there twice: %v", err)
	}
}

// TestParseMapRefuses has every complaint once. All of a table come at once, by row and column.
func TestParseMapRefuses(t *testing.T) {
	header := strings.Join(Columns, ",")
	for _, row := range []struct {
		name, table string
		want        []string
	}{
		{"nothing", "", []string{"the table is empty"}},
		{"a header alone", header, []string{"the table has no rows"}},
		{"columns", "item,typ,type,type\nx,1,u16,", []string{`row 1: "typ" is no column`, "row 1: the column type stands there twice", "row 1: the column register is missing"}},
		{"a quote", header + "\n\"x,holding,1,u16", []string{"row 2: "}},
		{"too many cells", header + "\nx,holding,1,u16,,,,,,,,,,,,,more", []string{`row 2: "more" stands behind`}},
		{"names", header + "\n,holding,1,u16\nX,holding,2,u16\nx,holding,3,u16\nx,holding,4,u16", []string{"row 2, column item: is empty", `row 3, column item: "X" is no name`, "row 5, column item: x is there twice, in row 4 too"}},
		{"places", header + "\na,output,1,u16\nb,holding,65536,u16\nc,holding,,u16\nd,holding,65535,u32\ne,,50001,u16", []string{
			`row 2, column area: "output" is no area`, `row 3, column register: "65536" is no register`, "row 4, column register: is empty", "row 5, column register: 2 registers from 65535 on go beyond",
		}},
		{"types", header + "\na,holding,1,u17\nb,holding,2,bit16\nc,holding,3,string126\nd,coil,4,u16\ne,holding,5,bool\nf,holding,6,f32,ACBD", []string{
			`row 2, column type: "u17"`, `row 3, column type: "bit16"`, `row 4, column type: "string126"`, "row 5, column type: the area coil holds bits", "row 6, column type: the area holding holds registers", `row 7, column order: "ACBD"`,
		}},
		{"numbers", header + "\na,holding,1,u16,,0\nb,holding,2,u16,,x\nc,holding,3,u16,,,1e3\nd,holding,4,raw1,,0.1", []string{
			"row 2, column scale: 0 makes", `row 3, column scale: "x"`, `row 4, column offset: "1e3"`, "row 5, column type: scale, offset and ratio",
		}},
		{"requests", header + "\na,holding,1,u16,,,,,,,,,,,126\nb,holding,2,u16,,,,,,,,,,,,125\nc,holding,3,u16,,,,,,,,,,,-1\nd,holding,10,raw8,,,,,,,,,,,7", []string{
			`row 2, column longest: "126"`, `row 3, column gap: "125"`, `row 4, column longest: "-1"`, "row 5, column longest: the value takes 8 registers",
		}},
		{"ratios", header + "\nk,holding,1,u16,,0.1,,,,\nu,holding,2,u16,,,,,none\nv,holding,3,u16,,,,,k*u\nw,holding,4,i16,,,,,k\nx,holding,5,u16,,,,,w\ny,holding,6,raw1,,,,,k", []string{
			`row 3, column ratio: "none" is neither`, "row 4, column ratio: u is multiplied itself", "row 6, column ratio: w is multiplied itself", "row 7, column type: scale, offset and ratio",
		}},
		{"a ratio with a sign", header + "\nk,holding,1,i16\nu,holding,2,u16,,,,,k", []string{"row 3, column ratio: k is no number without sign"}},
		{"marks", header + "\na,holding,1,u16,,,,,,xyz\nb,holding,2,u16,,,,,,NaN", []string{`row 2, column invalid: "xyz"`, "row 3, column invalid: NaN goes with floats"}},
		{"accesses", header + "\na,input,1,u16,,,,,,,RW\nb,holding,2,u32,,,,,,,RW06\nc,holding,4,bit1,,,,,,,RW\nd,coil,1,bool,,,,,,,W16\ne,holding,5,u16,,,,,,,RW05\nf,holding,6,u16,,,,,,,X", []string{
			"row 2, column access: nothing can be written", "row 3, column access: function 06 writes one register", "row 4, column access: a part of a register", "row 5, column access: functions 06 and 16", "row 6, column access: functions 05 and 15", `row 7, column access: "X"`,
		}},
		{"roles", header + "\na,coil,1,bool,,,,,,,R,relay\nb,coil,2,bool,,,,,,,RW,switch\nc,coil,3,bool,,,,,,,RW,relay shut=1\nd,coil,4,bool,,,,,,,RW,relay open=1", []string{
			"row 2, column role: a relay is switched by writing", `row 3, column role: "switch"`, `row 4, column role: "shut=1"`, "row 5, column role: open and closed are the same",
		}},
		{"names of the bridge", header + "\nrelay,coil,1,bool,,,,,,,RW,relay\ntime,holding,2,u16", []string{"row 2, column item: relay is what the bridge itself calls", "row 3, column item: time is what the bridge itself calls"}},
		{"raw values beyond the value", header + "\na,coil,1,bool,,,,,,,RW,relay open=2 closed=1\nb,holding,2,u16,,,,,,,R,relay_state open=0x10000 closed=1\nc,holding,3,u8h,,,,,,100\nd,holding,4,u32,,,,,,1FFFFFFFF FFFFFFFF", []string{
			"row 2, column role: 2 is more than the value holds, which has 1 bits", "row 3, column role: 65536 is more than the value holds, which has 16 bits",
			"row 4, column invalid: 100 is more than the value holds, which has 8 bits", "row 5, column invalid: 1FFFFFFFF is more",
		}},
		{"two relays", header + "\na,coil,1,bool,,,,,,,RW,relay\nb,coil,2,bool,,,,,,,RW,relay", []string{"row 3, column role: a has the role relay too"}},
		{"a relay that cannot be read", header + "\na,coil,1,bool,,,,,,,W,relay", []string{"row 2, column role: a relay is read back"}},
		{"overlaps", header + "\na,holding,1,u32\nb,holding,2,u16\nc,holding,5,bit1\nd,holding,5,bit1\ne,holding,7,u8h\nf,holding,7,u8h\ng,input,1,u32", []string{
			"row 3, column register: b lies on registers of a, in row 2", "row 5, column register: d lies on registers of c, in row 4", "row 7, column register: f lies on registers of e, in row 6",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := ParseMap("own", row.table)
			var problems Problems
			if m != nil || !errors.As(err, &problems) {
				t.Fatalf("%v, %v, want problems", m, err)
			}
			for _, want := range row.want {
				if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.HasPrefix(p.Error(), want) }) {
					t.Errorf("nothing begins with %q in\n%v", want, err)
				}
			}
			if len(problems) != len(row.want) {
				t.Errorf("%d problems, want %d:\n%v", len(problems), len(row.want), err)
			}
		})
	}
	if _, err := ParseMap("Own", header+"\nx,holding,1,u16"); err == nil {
		t.Error("any name is one of a model")
	}
	// Different bits and halves of one register are no overlap.
	if m, err := ParseMap("own", header+"\na,holding,1,bit0\nb,holding,1,bit1\nc,holding,2,u8h\nd,holding,2,u8l\ne,coil,1,bool\n"); err != nil || len(m.rows) != 5 {
		t.Errorf("%v, %v", m, err)
	}
}
