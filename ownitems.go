package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// The columns of a table of one's own items.
var itemColumns = []string{"protocol", "meter", "di", "name", "format", "unit", "decimals", "access", "text_en", "text_zh"}

// chineseItemColumns gives these columns by what a Chinese header calls them.
var chineseItemColumns = map[string]string{
	"规约": "protocol", "协议": "protocol",
	"电表": "meter", "表计": "meter", "仪表": "meter", "表地址": "meter", "通信地址": "meter",
	"数据标识": "di", "标识": "di", "数据标识编码": "di",
	"名称": "name", "数据项": "name", "英文名": "name",
	"格式": "format", "数据格式": "format",
	"单位":  "unit",
	"小数位": "decimals", "小数位数": "decimals",
	"读写": "access", "权限": "access", "读写权限": "access",
	"英文": "text_en", "英文名称": "text_en", "英文说明": "text_en",
	"中文": "text_zh", "中文名": "text_zh", "中文名称": "text_zh", "中文说明": "text_zh", "说明": "text_zh",
}

// itemSheet is what the table of one's own items may hold.
var itemSheet = protocol.Sheet{Columns: itemColumns, Titles: chineseItemColumns, Needed: []string{"protocol", "di", "name", "format"}}

// An ownRow is a row of the table of one's own items.
type ownRow struct {
	line     int
	protocol string
	meter    string // name or address; empty: every meter of the protocol
	item     protocol.OwnItem
	used     bool
}

// An ownTable is the table of one's own items.
type ownTable struct {
	file string
	rows []*ownRow
}

// readOwnItems reads the items that a user adds to the tables, and gives those for every meter to their
// protocols.
func (r *configReader) readOwnItems(c *config) {
	if r.Items == "" {
		return
	}
	data, err := os.ReadFile(r.Items)
	if err != nil {
		r.complain("ITEMS", "%w; it is a CSV file with the columns %s", err, strings.Join(itemColumns, ","))
		return
	}
	text, err := points.Decode(data)
	if err != nil {
		r.complain("ITEMS", "%s: %w", r.Items, err)
		return
	}
	t := &ownTable{file: r.Items}
	for _, problem := range t.parse(text, c) {
		r.complain("ITEMS", "%s: %w", r.Items, problem)
	}
	c.ownItems = t
	for name, spoken := range c.protocols {
		extended, problems := t.extend(spoken, func(row *ownRow) bool { return row.protocol == name && row.meter == "" })
		c.protocols[name] = extended
		for _, problem := range problems {
			r.complain("ITEMS", "%s: %w", r.Items, problem)
		}
	}
}

// extend returns a protocol with the items of some rows, and what is wrong with them.
func (t *ownTable) extend(spoken protocol.Protocol, take func(*ownRow) bool) (protocol.Protocol, []error) {
	var items []protocol.OwnItem
	var rows []*ownRow
	for _, row := range t.rows {
		if take(row) {
			row.used = true
			items, rows = append(items, row.item), append(rows, row)
		}
	}
	extensible, ok := spoken.(protocol.Extensible)
	if !ok || len(items) == 0 {
		return spoken, nil
	}
	extended, wrong := extensible.WithItems(items)
	var problems []error
	for i, err := range wrong {
		if err != nil {
			problems = append(problems, fmt.Errorf("row %d, column di: %w", rows[i].line, err))
		}
	}
	return extended, problems
}

// of returns the protocol of a meter with the items that the table has for it alone.
func (t *ownTable) of(name, address string, spoken protocol.Protocol) (protocol.Protocol, error) {
	if t == nil {
		return spoken, nil
	}
	var own []*ownRow
	extended, problems := t.extend(spoken, func(row *ownRow) bool {
		if row.protocol != spoken.Name() || row.meter == "" {
			return false
		}
		if row.meter != name {
			written, err1 := spoken.ParseAddress(row.meter)
			meant, err2 := spoken.ParseAddress(address)
			if err1 != nil || err2 != nil || written.Text != meant.Text {
				return false
			}
		}
		own = append(own, row)
		return true
	})
	for i, row := range own {
		for _, other := range own[:i] {
			if other.meter == row.meter {
				continue // the table was complained of
			}
			// It is there by its name and by its address.
			if other.item.Identifier == row.item.Identifier {
				problems = append(problems, fmt.Errorf("row %d, column di: %s of this meter is there twice, in row %d too", row.line, row.item.Identifier, other.line))
			}
			if other.item.Name == row.item.Name {
				problems = append(problems, fmt.Errorf("row %d, column name: %s of this meter is there twice, in row %d too", row.line, row.item.Name, other.line))
			}
		}
	}
	return extended, errors.Join(problems...)
}

// complainOfUnused complains of rows for meters that there are not.
func (r *configReader) complainOfUnused(c *config) {
	if c.ownItems == nil {
		return
	}
	for _, row := range c.ownItems.rows {
		if row.meter != "" && !row.used {
			r.complain("ITEMS", "%s: row %d, column meter: no meter of DLT645_METERS that speaks %s has the name or the address %q; leave it empty for all", r.Items, row.line, row.protocol, row.meter)
		}
	}
}

// parse reads the table, and returns everything that is wrong with it.
func (t *ownTable) parse(text string, c *config) (problems []error) {
	rows, wrong := itemSheet.Read(text)
	for _, p := range wrong {
		if p.Line == 0 {
			problems = append(problems, errors.New(p.Message))
			continue
		}
		problems = append(problems, fmt.Errorf("row %d: %s", p.Line, p.Message))
	}
	for _, r := range rows {
		row := &ownRow{line: r.Line}
		for column, err := range row.read(r.Cells, t.rows, c) {
			problems = append(problems, fmt.Errorf("row %d, column %s: %w", r.Line, column, err))
		}
		t.rows = append(t.rows, row)
	}
	return problems
}

// read reads a row, and yields what is wrong with it by column.
func (row *ownRow) read(cells map[string]string, before []*ownRow, c *config) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		bad := func(column, format string, args ...any) { yield(column, fmt.Errorf(format, args...)) }
		row.protocol, row.meter = cells["protocol"], cells["meter"]
		if row.meter == "*" {
			row.meter = ""
		}
		spoken, known := c.protocols[row.protocol]
		if _, ok := spoken.(protocol.Extensible); !ok {
			hint := ""
			if known {
				hint = "; those of Modbus are rows of a register map"
			}
			bad("protocol", "%q is no protocol whose table can be added to; there are %s%s", row.protocol, extensibleNames(c), hint)
		}
		item := &row.item
		*item = protocol.OwnItem{Identifier: strings.ToUpper(cells["di"]), Name: cells["name"], Unit: cells["unit"], Access: protocol.ParseAccess(cells["access"]), English: cells["text_en"], Chinese: cells["text_zh"]}
		if !protocol.IsItemName(item.Name) {
			bad("name", "%q is no name: lower case letters, digits and _, a letter first, at most 64", item.Name)
		}
		if protocol.IsReserved(item.Name) {
			bad("name", "%s is what the bridge itself calls something of a meter; choose another name", item.Name)
		}
		decimals := -1
		if text := cells["decimals"]; text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				bad("decimals", "%q is no number of decimals", text)
			}
			decimals = n
		}
		var err error
		if item.Format, err = protocol.ParseFormat(cells["format"], decimals); err != nil {
			bad("format", "%w", err)
		}
		switch item.Access {
		case "":
			item.Access = "R"
		case "R", "W", "RW":
		default:
			bad("access", "%q is none of R, W and RW", cells["access"])
		}
		var replaced protocol.ItemDescription // what has the same name
		if catalogue, ok := spoken.(protocol.Catalogue); ok {
			replaced, _ = catalogue.Describe(item.Name)
		}
		item.English = cmp.Or(item.English, replaced.English, strings.ReplaceAll(item.Name, "_", " "))
		item.Chinese = cmp.Or(item.Chinese, replaced.Chinese, item.English)
		for _, other := range before {
			if other.protocol != row.protocol || other.meter != row.meter {
				continue
			}
			if other.item.Identifier == item.Identifier {
				bad("di", "%s is there twice, in row %d too", item.Identifier, other.line)
			}
			if other.item.Name == item.Name {
				bad("name", "%s is there twice, in row %d too", item.Name, other.line)
			}
		}
	}
}

// extensibleNames lists the protocols to whose tables items can be added.
func extensibleNames(c *config) string {
	var names []string
	for _, name := range inOrder(c.protocols) {
		if _, ok := c.protocols[name].(protocol.Extensible); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// ownRows lists the items that a user has added to the table of a protocol, and which of them are for every
// meter; what is wrong with the table is told where it is used.
func (r *configReader) ownRows(name string) (rows []itemRow, forAll []bool) {
	quiet := configReader{environment: r.environment}
	c := config{protocols: newProtocols(time.UTC)}
	quiet.readOwnItems(&c)
	if c.ownItems == nil {
		return nil, nil
	}
	for _, row := range c.ownItems.rows {
		if row.protocol == name {
			rows = append(rows, itemRow{
				Name: row.item.Name, DI: row.item.Identifier, Picture: row.item.Format.String(), Unit: row.item.Unit, Access: row.item.Access,
				Origin: originOwn, TextEN: row.item.English, TextZH: row.item.Chinese,
			})
			forAll = append(forAll, row.meter == "")
		}
	}
	return rows, forAll
}
