package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// ownItems writes a table of one's own items and returns the name of the file.
func ownItems(t *testing.T, rows ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "items.csv")
	text := strings.Join(append([]string{strings.Join(itemColumns, ",")}, rows...), "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestOwnItems has items of one's own in every respect: read by name and by identifier, written, polled, listed.
func TestOwnItems(t *testing.T) {
	t.Parallel()
	file := ownItems(t,
		"2007,,04EE0001,balance_cents,i32,CNY,2,RW,balance in cents,余额",
		"2007,main,02800001,neutral_current,SXXX.X,A,,R,,",
		"2007,000000000001,04000D01,voltage_constant,u16,,,RW,,",
		"188,,8102,price_table,hex,,,R,,",
	)
	variables := map[string]string{
		"DLT645_ITEMS": file, "DLT645_BUS_URL": "sim://?addresses=1,2,3@188&baud=115200&turnaround=1ms",
		"DLT645_METERS": "main=1,shop=2,water=3@188?type=10", "DLT645_METER_PASSWORD": "02000000,04000000",
	}
	for _, row := range []struct{ target, body, want string }{
		{"read/main", `{"items":["balance_cents"]}`, `"code":"refused"`}, // the simulated meter has none
		{"read/main", `{"items":["04EE0001"]}`, `"balance_cents":{"code":"refused"`},
		{"read/shop", `{"items":["neutral_current"]}`, `"units":{"neutral_current":"A"},"errors":{}`}, // by the dictionary
		{"read/main", `{"items":["neutral_current"]}`, `"code":"garbled"`},                            // three bytes are not two
		{"write/main", `{"item":"balance_cents","value":1.234}`, `"code":"bad_request"`},
		{"read/water", `{"items":["price_table","volume"]}`, `"price_table":{"code":"refused"`},
		{"write/water", `{"item":"price_table","value":"00"}`, `can be read but not written`},
	} {
		if got := string(askWith(t, variables, row.target, row.body)); !strings.Contains(got, row.want) {
			t.Errorf("%s %s: %s, want %s", row.target, row.body, got, row.want)
		}
	}
	if status, out, complaints := executeApart(t, variables, "", "items", "balance"); status != 0 || !strings.Contains(out, "balance_cents") {
		t.Errorf("items lists %s%s", out, complaints)
	}
	if _, out, complaints := executeApart(t, variables, "meter,item,max\nmain,balance_cents,10\n", "points", "check", "-"); !strings.Contains(out, "balance_cents") {
		t.Errorf("points check says %s%s", out, complaints)
	}
}

// TestOwnItemsInChinese reads a table whose columns have Chinese names, in GB18030 as a spreadsheet in China writes it.
func TestOwnItemsInChinese(t *testing.T) {
	const english = "protocol,meter,di,name,format,unit,decimals,access,text_en,text_zh\n2007,main,04EE0001,balance_cents,i32,CNY,2,RW,balance,余额\n"
	const chinese = "规约,电表,数据标识,名称,格式,单位,小数位数,读写,英文说明,中文说明\n2007,main,04EE0001,balance_cents,i32,CNY,2,读写,balance,余额\n"
	c := config{protocols: newProtocols(time.UTC)}
	var want, got ownTable
	if problems := want.parse(english, &c); problems != nil {
		t.Fatal(problems)
	}
	if problems := got.parse(chinese, &c); problems != nil {
		t.Fatal(problems)
	}
	if !reflect.DeepEqual(got.rows, want.rows) || len(got.rows) != 1 {
		t.Errorf("the Chinese table is %+v, the English one %+v", got.rows, want.rows)
	}
	for title, column := range chineseItemColumns {
		if !slices.Contains(itemColumns, column) {
			t.Errorf("%s is the column %s, which there is not", title, column)
		}
	}
	var marked ownTable // as a spreadsheet saves it, with a word on top and a column too many
	if problems := marked.parse("# 余额; 分\n\n"+strings.ReplaceAll(chinese, ",", "\t")+"\t\n", &c); problems != nil || !reflect.DeepEqual(marked.rows[0].item, want.rows[0].item) {
		t.Errorf("with tabs and a comment it is %+v, %v", marked.rows, problems)
	}
	var twice ownTable
	if problems := twice.parse("规约,协议,数据标识,名称,格式\n", &c); len(problems) != 1 || !strings.Contains(problems[0].Error(), "the column protocol stands there twice") {
		t.Errorf("a column that is there twice: %v", problems)
	}
	file := filepath.Join(t.TempDir(), "items.csv")
	text, err := simplifiedchinese.GB18030.NewEncoder().String(chinese)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, text)
	setAll(t, map[string]string{"DLT645_ITEMS": file, "DLT645_METERS": "main=1"})
	if _, out, stderr := execute(t, "", "items", "-json", "余额"); !strings.Contains(out, `"name":"balance_cents"`) {
		t.Errorf("items 余额 prints %s%s", out, stderr)
	}
}

// TestOwnItemsAsSpreadsheetsSaveThem takes semicolons and tabs, comments in front, and the empty rows and columns that
// spreadsheets leave.
func TestOwnItemsAsSpreadsheetsSaveThem(t *testing.T) {
	for name, text := range map[string]string{
		"a comment with another separator": "# by the manual; of 2019\nprotocol,di,name,format\n1997,B611,voltage_a,XXX.X\n",
		"tabs":                             "protocol\tmeter\tdi\tname\tformat\n1997\t\tB611\tvoltage_a\tXXX.X\n",
		"semicolons":                       "protocol;meter;di;name;format\r\n1997;;B611;voltage_a;XXX.X\r\n",
		"empty rows":                       "protocol,di,name,format\n1997,B611,voltage_a,XXX.X\n,,,\n,,,\n",
		"empty columns":                    "protocol,di,name,format,,\n1997,B611,voltage_a,XXX.X,,a note\n",
	} {
		c := config{protocols: newProtocols(time.UTC)}
		var table ownTable
		if problems := table.parse(text, &c); problems != nil || len(table.rows) != 1 || table.rows[0].item.Identifier != "B611" || table.rows[0].meter != "" {
			t.Errorf("%s: %+v, %v", name, table.rows, problems)
		}
	}
	c := config{protocols: newProtocols(time.UTC)}
	if problems := new(ownTable).parse("protocol,id,name,unit,unit\n", &c); len(problems) != 4 {
		t.Errorf("of four mistakes in the header it says %v", problems)
	}
}

// TestOwnItemsListed has items show one's own row in place of that of the dictionary, which is what people call it still;
// one for a single meter stands beside it.
func TestOwnItemsListed(t *testing.T) {
	setAll(t, map[string]string{"DLT645_METERS": "main=1", "DLT645_ITEMS": ownItems(t,
		"1997,,B611,voltage_a,XXX.X,V,,,,", "2007,,02800002,mains_frequency,XX.XX,Hz,,,,", "2007,main,02800001,neutral_current,SXXX.X,A,,,,"),
	})
	for line, want := range map[string][]string{
		"-protocol 1997 B611":            {"voltage_a B611 XXX.X voltage, phase A A相电压"},
		"-protocol 1997 voltage_a":       {"voltage_a B611 XXX.X voltage, phase A A相电压"},
		"-protocol 1997 B612":            {"voltage_b B612 XXX voltage, phase B B相电压"},
		"02800002":                       {"mains_frequency 02800002 XX.XX mains frequency mains frequency"},
		"neutral_current":                {"neutral_current 02800001 ±XXX.XXX neutral current 零线电流", "neutral_current 02800001 SXXX.X neutral current 零线电流"},
		"-protocol modbus/sdm120 freque": {"frequency input:0046 f32 frequency 电网频率"},
	} {
		_, out, stderr := execute(t, "", append([]string{"items", "-json"}, strings.Fields(line)...)...)
		var got []string
		for row := range strings.Lines(out) {
			var r itemRow
			if err := json.Unmarshal([]byte(row), &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.Join([]string{r.Name, r.DI, r.Picture, r.TextEN, r.TextZH}, " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("items %s lists %q%s, want %q", line, got, stderr, want)
		}
	}
}

// TestOwnItemsRefused has every complaint, all at once.
func TestOwnItemsRefused(t *testing.T) {
	file := ownItems(t,
		"2008,,04EE0001,a,u16,,,,,",
		"modbus/dtsu666,,2006,b,u16,,,,,",
		"2007,,04EE,c,u16,,,,,",
		"2007,,04EE0001,D,u17,,,,,",
		"2007,,04EE0002,e,XX.X,,2,,,",
		"2007,,04EE0003,f,u16,,x,,,",
		"2007,,04EE0004,g,u16,,10,,,",
		"2007,,04EE0005,h,u16,,,Q,,",
		"2007,,04EE0006,i,u16,,,,,",
		"2007,,04EE0006,i,u16,,,,,",
		"2007,nobody,04EE0007,j,u16,,,,,",
		"2007,,0201FF00,k,u16,,,,,",
		"2007,,04000C01,l,hex:4,,,,,",
		"188,,901F,m,u16,,,,,",
		"188,,A017,n,u8,,,W,,",
		"2007,,04EE0008,o,u16,,,,{t},",
		"2007,,04EE0009,relay,u16,,,,,",
		"2007,main,04EE000A,p,u16,,,,,",
		"2007,000000000001,04EE000A,q,u16,,,,,",
		"2007,1,04EE000B,p,u16,,,,,",
		"2007,,04000401,r,hex:6,,,RW,,",
		"2007,main,04000703,s,u8,,,W,,",
		"2007,,04000402,t,hex:6,,,RW,,",
		"2007,shop,04000704,u,u8,,,R,,",
	)
	setAll(t, map[string]string{"DLT645_ITEMS": file, "DLT645_BUS_URL": "sim://", "DLT645_METERS": "main=1,shop=2"})
	_, err := readConfig(false)
	if err == nil {
		t.Fatal("the table is taken")
	}
	for _, want := range []string{
		`row 2, column protocol: "2008" is no protocol whose table can be added to; there are 1997, 2007, 188`,
		`row 3, column protocol: "modbus/dtsu666" is no protocol`,
		"row 4, column di: ", `row 5, column name: "D" is no name`, `row 5, column format: "u17" is no format`,
		"row 6, column format: XX.X takes no decimals", `row 7, column decimals: "x"`, "row 8, column format: 10 decimals are more than 9",
		`row 9, column access: "Q"`, "row 11, column di: 04EE0006 is there twice, in row 10 too", "row 11, column name: i is there twice",
		"row 12, column meter: no meter of DLT645_METERS that speaks 2007 has the name or the address", "row 13, column di: 0201FF00 asks for a block",
		"row 14, column di: 04000C01 is a password", "row 15, column di: 901F holds several values", "row 16, column di: A017 is a key, the valve",
		"row 17, column di: names and texts have no braces", "row 18, column name: relay is what the bridge itself calls",
		"row 20, column di: 04EE000A of this meter is there twice, in row 19 too", "row 21, column name: p of this meter is there twice, in row 19 too",
		"row 22, column di: 04000401 is the address under which the meter answers", "row 23, column di: 04000703 is the speed of a port",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in\n%v", want, err)
		}
	}
	for _, right := range []string{"row 24", "row 25, column di"} { // another number may be written, and a speed read
		if strings.Contains(err.Error(), right) {
			t.Errorf("something is said of %s in\n%v", right, err)
		}
	}
}
