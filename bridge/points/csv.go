package points

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"dlt645-mqtt/protocol"
)

// The columns of a table.
const (
	columnMeter     = "meter"
	columnItem      = "item"
	columnInterval  = "interval"
	columnMin       = "min"
	columnMax       = "max"
	columnDeadband  = "deadband"
	columnName      = "name"
	columnRetain    = "retain"
	columnDiscovery = "discovery"
)

// Columns lists the columns in the order in which a table is written.
var Columns = []string{
	columnMeter, columnItem, columnInterval, columnMin, columnMax, columnDeadband, columnName, columnRetain, columnDiscovery,
}

// chinese gives the columns by what a Chinese header calls them.
var chinese = map[string]string{
	"电表": columnMeter, "表计": columnMeter, "仪表": columnMeter, "表地址": columnMeter, "通信地址": columnMeter,
	"数据项": columnItem, "数据标识": columnItem, "项目": columnItem,
	"间隔": columnInterval, "周期": columnInterval, "采集间隔": columnInterval, "采集周期": columnInterval,
	"下限": columnMin, "最小值": columnMin,
	"上限": columnMax, "最大值": columnMax,
	"死区": columnDeadband, "变化阈值": columnDeadband,
	"名称": columnName,
	"保留": columnRetain,
	"发现": columnDiscovery, "自动发现": columnDiscovery,
}

// A tableRow is one row of a table as it was written: texts by column, blank ones left out.
type tableRow struct {
	number int
	cells  map[string]string
}

// workbooks are what the files of spreadsheets begin with that are no CSV: .xlsx and .ods are archives, .xls is older.
var workbooks = [][]byte{[]byte("PK\x03\x04"), []byte("\xD0\xCF\x11\xE0")}

// Decode returns a text in UTF-8, without a byte order mark, of bytes in UTF-8 or in GB18030,
// which is what spreadsheets write in China. The error is Problems.
func Decode(data []byte) (string, error) {
	if slices.ContainsFunc(workbooks, func(begin []byte) bool { return bytes.HasPrefix(data, begin) }) {
		return "", Problems{{Message: "this is the workbook of a spreadsheet (.xlsx, .xls or .ods) and no CSV: open it there and save it as CSV UTF-8 (comma delimited)"}}
	}
	if text, ok := bytes.CutPrefix(data, []byte("\uFEFF")); ok {
		data = text
	}
	if utf8.Valid(data) {
		return string(data), nil
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return "", Problems{{Message: "the text is neither UTF-8 nor GB18030; save it as CSV UTF-8"}}
	}
	return strings.TrimPrefix(string(text), "\uFEFF"), nil
}

// Parse reads a table in CSV, or one of the words basic and off. The error is Problems: all of
// them.
func Parse(data []byte, site Site) (*Table, error) {
	text, err := Decode(data)
	if err != nil {
		return nil, err
	}
	switch strings.TrimSpace(text) {
	case BasicText:
		return Basic(site), nil
	case OffText:
		return &Table{Text: OffText}, nil
	}
	rows, problems := readCSV(text)
	return compile(text, rows, problems, site)
}

// Meters returns what stands in the column meter of a table in CSV, once each, in its order: for
// who reads a table away from the bridge that it is for. A table that is wrong may have none.
func Meters(data []byte) (meters []string) {
	text, err := Decode(data)
	if err != nil {
		return nil
	}
	rows, _ := readCSV(text)
	for _, r := range rows {
		if meter := r.cells[columnMeter]; meter != "" && meter != "*" && !slices.Contains(meters, meter) {
			meters = append(meters, meter)
		}
	}
	return meters
}

// sheet is what a table may hold.
var sheet = protocol.Sheet{Columns: Columns, Titles: chinese, Needed: []string{columnMeter, columnItem}, Heading: Columns[:6]}

// readCSV takes a table apart into rows.
func readCSV(text string) (rows []tableRow, problems Problems) {
	read, wrong := sheet.Read(text)
	for _, r := range read {
		rows = append(rows, tableRow{r.Line, r.Cells})
	}
	for _, p := range wrong {
		problems = append(problems, Problem{Row: p.Line, Message: p.Message})
	}
	return rows, problems
}

// writeCSV writes rows as CSV, with the columns that are used.
func writeCSV(rows []tableRow) string {
	columns := slices.DeleteFunc(slices.Clone(Columns), func(column string) bool {
		return column != columnMeter && column != columnItem && !slices.ContainsFunc(rows, func(r tableRow) bool { return r.cells[column] != "" })
	})
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(columns) // a Builder takes everything
	for _, r := range rows {
		line := make([]string, len(columns))
		for i, column := range columns {
			line[i] = r.cells[column]
		}
		_ = w.Write(line)
	}
	w.Flush()
	return b.String()
}

// cut shortens what is quoted in a message.
func cut(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
