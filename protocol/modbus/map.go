package modbus

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

// builtIn holds the register maps that come with the package, one file for each model.
//
//go:embed maps/*.csv
var builtIn embed.FS

// Models returns the names of the built-in maps.
func Models() []string { return slices.Clone(models()) }

var models = sync.OnceValue(func() (names []string) {
	files, err := fs.Glob(builtIn, "maps/*.csv")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "maps/"), ".csv"))
	}
	return names
})

// BuiltIn returns the map of a model that comes with the package, and whether there is one.
func BuiltIn(model string) (*Map, bool) {
	data, err := builtIn.ReadFile("maps/" + model + ".csv")
	if err != nil || strings.Contains(model, "/") {
		return nil, false
	}
	m, err := ParseMap(model, string(data))
	if err != nil {
		panic(err) // a test reads them all
	}
	return m, true
}

// An area is one of the four kinds of data of a slave. Each has addresses of its own.
type area uint8

const (
	noArea area = iota
	coils
	discretes
	holdings
	inputs
)

var areaNames = map[area]string{coils: "coil", discretes: "discrete", holdings: "holding", inputs: "input"}

func (a area) String() string { return areaNames[a] }

// ofBits reports whether the area holds bits, and not registers.
func (a area) ofBits() bool { return a == coils || a == discretes }

// parseArea reads a name of an area.
func parseArea(text string) area {
	for a, name := range areaNames {
		if strings.EqualFold(text, name) {
			return a
		}
	}
	return chineseAreas[text]
}

// A Map says what the registers of a model hold. It comes from a table in CSV.
type Map struct {
	model   string
	comment []string // the lines at its head
	rows    []*row   // in the order of the table
	byName  map[string]*row
}

// A row is one value of a map.
type row struct {
	item     string
	area     area
	register uint16
	form
	order   order
	scale   exact
	offset  exact
	unit    string
	ratios  []*row // by whose values it is multiplied
	ratio   string // the same, as written
	invalid []uint64
	noFloat bool // NaN is among the invalid marks
	access  access
	role    role
	en, zh  string
	longest int // most registers of one request
	gap     int // most registers between this one and the one before it, in one request
	line    int // in the table
}

// An access says what may be done with a value, and by which function it is written.
type access struct {
	read, write bool
	single      bool // registers: function 06; else 10H. coils: function 05; else 0FH
}

// A role is what a row means to the bridge, and the raw values that matter for that.
type role struct {
	name         string
	open, closed uint64 // of a relay
}

// The roles.
const (
	roleRelay      = "relay"
	roleRelayState = "relay_state"
)

// The defaults of what a request may span.
const (
	defaultLongest = mostRegisters
	defaultGap     = 10
)

// The columns of a map.
const (
	columnItem     = "item"
	columnArea     = "area"
	columnRegister = "register"
	columnType     = "type"
	columnOrder    = "order"
	columnScale    = "scale"
	columnOffset   = "offset"
	columnUnit     = "unit"
	columnRatio    = "ratio"
	columnInvalid  = "invalid"
	columnAccess   = "access"
	columnRole     = "role"
	columnEN       = "text_en"
	columnZH       = "text_zh"
	columnLongest  = "longest"
	columnGap      = "gap"
)

// Columns lists the columns of a map in the order in which the built-in ones have them.
var Columns = []string{
	columnItem, columnArea, columnRegister, columnType, columnOrder, columnScale, columnOffset, columnUnit, columnRatio,
	columnInvalid, columnAccess, columnRole, columnEN, columnZH, columnLongest, columnGap,
}

// chineseColumns gives these columns by what a Chinese header calls them.
var chineseColumns = map[string]string{
	"数据项": columnItem, "名称": columnItem, "英文名": columnItem,
	"区": columnArea, "区域": columnArea, "寄存器区": columnArea, "存储区": columnArea,
	"寄存器": columnRegister, "寄存器地址": columnRegister, "地址": columnRegister,
	"类型": columnType, "数据类型": columnType,
	"字节序": columnOrder, "字序": columnOrder,
	"倍率": columnScale, "系数": columnScale,
	"偏移": columnOffset, "偏移量": columnOffset,
	"单位":  columnUnit,
	"变比":  columnRatio,
	"无效值": columnInvalid,
	"读写":  columnAccess, "权限": columnAccess, "读写权限": columnAccess,
	"用途": columnRole, "作用": columnRole,
	"英文": columnEN, "英文名称": columnEN, "英文说明": columnEN,
	"中文": columnZH, "中文名": columnZH, "中文名称": columnZH, "中文说明": columnZH, "说明": columnZH,
	"单次最多": columnLongest, "最多寄存器数": columnLongest,
	"间隔": columnGap, "最大间隔": columnGap,
}

// sheet is what the table of a map may hold.
var sheet = protocol.Sheet{
	Columns: Columns, Titles: chineseColumns,
	Needed:  []string{columnItem, columnRegister, columnType},
	Heading: []string{columnItem, columnArea, columnRegister, columnType, columnScale, columnUnit},
}

// chineseAreas gives the areas by what they are called in Chinese.
var chineseAreas = map[string]area{"线圈": coils, "离散输入": discretes, "离散量输入": discretes, "保持寄存器": holdings, "输入寄存器": inputs}

// A Problem is one thing that is wrong with a map.
type Problem struct {
	Row     int    // line of the file; 0: of the whole
	Column  string // empty: of the whole row
	Message string
}

func (p Problem) Error() string {
	var where []string
	if p.Row > 0 {
		where = append(where, fmt.Sprintf("row %d", p.Row))
	}
	if p.Column != "" {
		where = append(where, "column "+p.Column)
	}
	if len(where) == 0 {
		return p.Message
	}
	return strings.Join(where, ", ") + ": " + p.Message
}

// Problems is everything that is wrong with a map.
type Problems []Problem

// Error has one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// modelName matches the names that a map may have, of longestModel bytes at most.
var modelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

const longestModel = 32

// ParseMap reads the table of a model, in UTF-8. The error is Problems: all of them.
func ParseMap(model, table string) (*Map, error) {
	p := &mapParser{m: &Map{model: model, byName: make(map[string]*row)}, longest: defaultLongest, gap: defaultGap}
	if len(model) > longestModel || !modelName.MatchString(model) {
		p.complain(0, "", "%q is no name of a model: lower case letters, digits, _ and -, at most 32", model)
	}
	p.read(strings.TrimPrefix(table, "\uFEFF"))
	p.linkRatios()
	p.checkNeighbours()
	p.checkRoles()
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Row - b.Row })
		return nil, p.problems
	}
	return p.m, nil
}

// A mapParser reads a table and collects every complaint on the way.
type mapParser struct {
	m            *Map
	problems     Problems
	longest, gap int // of the rows to come
	cells        map[string]string
	line         int
}

func (p *mapParser) complain(line int, column, format string, args ...any) {
	p.problems = append(p.problems, Problem{line, column, fmt.Sprintf(format, args...)})
}

// bad complains of a cell of the row at hand.
func (p *mapParser) bad(column, format string, args ...any) {
	p.complain(p.line, column, format, args...)
}

// read takes the table apart into rows.
func (p *mapParser) read(table string) {
	for line := range strings.Lines(table) {
		text, comment := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !comment {
			break
		}
		p.m.comment = append(p.m.comment, strings.TrimSpace(text))
	}
	rows, problems := sheet.Read(table)
	for _, problem := range problems {
		p.complain(problem.Line, "", "%s", problem.Message)
	}
	for _, row := range rows {
		p.line, p.cells = row.Line, row.Cells
		p.row()
	}
	if len(p.m.rows) == 0 && len(p.problems) == 0 {
		p.complain(0, "", "the table has no rows")
	}
}

// row reads one row.
func (p *mapParser) row() {
	before := len(p.problems)
	w := &row{item: p.cells[columnItem], unit: p.cells[columnUnit], en: p.cells[columnEN], zh: p.cells[columnZH], ratio: p.cells[columnRatio], line: p.line}
	switch {
	case w.item == "":
		p.bad(columnItem, "is empty")
	case !protocol.IsItemName(w.item):
		p.bad(columnItem, "%q is no name: lower case letters, digits and _, a letter first, at most 64", w.item)
	case protocol.IsReserved(w.item):
		p.bad(columnItem, "%s is what the bridge itself calls something of a meter; choose another name", w.item)
	}
	if other := p.m.byName[w.item]; other != nil {
		p.bad(columnItem, "%s is there twice, in row %d too", w.item, other.line)
	}
	p.place(w)
	var ok bool
	if w.form, ok = parseForm(p.cells[columnType]); !ok {
		p.bad(columnType, "%q is no type; there are %s", p.cells[columnType], typeNames)
	}
	if w.order, ok = parseOrder(p.cells[columnOrder]); !ok {
		p.bad(columnOrder, "%q is no order; there are ABCD, CDAB, BADC and DCBA", p.cells[columnOrder])
	}
	w.scale, w.offset = p.factor(columnScale, "1"), p.factor(columnOffset, "0")
	if w.scale.n != nil && w.scale.n.Sign() == 0 {
		p.bad(columnScale, "0 makes every value 0; leave it empty for 1")
	}
	p.marks(w)
	p.access(w)
	p.role(w)
	p.longest = p.count(columnLongest, p.longest, 1, mostRegisters)
	p.gap = p.count(columnGap, p.gap, 0, mostRegisters-1)
	w.longest, w.gap = p.longest, p.gap
	if len(p.problems) == before {
		p.fits(w)
	}
	if w.en == "" {
		w.en = strings.ReplaceAll(w.item, "_", " ")
	}
	if w.zh == "" {
		w.zh = w.en
	}
	if len(p.problems) == before {
		p.m.rows = append(p.m.rows, w)
	}
	if p.m.byName[w.item] == nil {
		p.m.byName[w.item] = w
	}
}

// parseRegister reads the address of a register as it is sent: a decimal number, or a hex one with 0x
// before it or H behind it.
func parseRegister(text string) (uint16, bool) {
	base := 10
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		text, base = digits, 16
	} else if digits, ok := strings.CutSuffix(strings.ToLower(text), "h"); ok {
		text, base = digits, 16
	}
	n, err := strconv.ParseUint(text, base, 16)
	return uint16(n), err == nil
}

// place reads the area and the register. Where the area is empty the register may be written as
// 40001 or 300001: the first digit is the area, and the rest counts from 1.
func (p *mapParser) place(w *row) {
	name, register := p.cells[columnArea], p.cells[columnRegister]
	if name == "" {
		if a, r, ok := conventional(register); ok {
			w.area, w.register = a, r
			return
		}
		name = areaNames[holdings]
	}
	if w.area = parseArea(name); w.area == noArea {
		p.bad(columnArea, "%q is no area; there are coil, discrete, holding and input", name)
	}
	var ok bool
	switch w.register, ok = parseRegister(register); {
	case register == "":
		p.bad(columnRegister, "is empty")
	case !ok:
		p.bad(columnRegister, "%q is no register from 0 to 65535, such as 8198, 0x2006 or 2006H", register)
	}
}

// conventional reads a register in the notation of manuals that count from 1: 40001, 400001.
func conventional(text string) (a area, register uint16, ok bool) {
	if len(text) != 5 && len(text) != 6 || strings.Trim(text, "0123456789") != "" {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(text[1:], 10, 32)
	a, known := map[byte]area{'0': coils, '1': discretes, '3': inputs, '4': holdings}[text[0]]
	if err != nil || !known || n < 1 || n > 65536 {
		return 0, 0, false
	}
	return a, uint16(n - 1), true
}

// factor reads a decimal number.
func (p *mapParser) factor(column, byDefault string) exact {
	text := p.cells[column]
	if text == "" {
		text = byDefault
	}
	d, err := protocol.ParseDecimal(text)
	if err != nil {
		p.bad(column, "%q is no decimal number, such as 0.1", text)
		return exact{}
	}
	return exactOf(d)
}

// marks reads the raw values by which the meter says that it has no value.
func (p *mapParser) marks(w *row) {
	for mark := range strings.FieldsSeq(strings.ReplaceAll(p.cells[columnInvalid], ",", " ")) {
		if strings.EqualFold(mark, "nan") {
			w.noFloat = true
			continue
		}
		digits := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(mark), "0x"), "h")
		n, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			p.bad(columnInvalid, "%q is no raw value in hex, such as FFFF, nor NaN", mark)
			continue
		}
		w.invalid = append(w.invalid, n)
	}
}

// access reads what may be done with the value.
func (p *mapParser) access(w *row) {
	text := protocol.ParseAccess(p.cells[columnAccess])
	if text == "" {
		text = "R"
	}
	a, ok := accesses[text]
	if !ok {
		p.bad(columnAccess, "%q is none of R, W and RW, and those with 05, 06, 15 or 16 behind them for the function that writes", p.cells[columnAccess])
		return
	}
	w.access = a
	switch {
	case !a.write:
	case w.area == discretes || w.area == inputs:
		p.bad(columnAccess, "nothing can be written to the area %s", w.area)
	case w.area == coils && (strings.HasSuffix(text, "06") || strings.HasSuffix(text, "16")):
		p.bad(columnAccess, "functions 06 and 16 write registers, and this is a coil")
	case w.area == holdings && (strings.HasSuffix(text, "05") || strings.HasSuffix(text, "15")):
		p.bad(columnAccess, "functions 05 and 15 write coils, and this is a register")
	}
	if w.area == coils && text == strings.TrimRight(text, "0123456789") {
		w.access.single = true
	}
}

var accesses = func() map[string]access {
	all := map[string]access{"R": {read: true}}
	for text, read := range map[string]bool{"W": false, "RW": true} {
		all[text] = access{read: read, write: true}
		all[text+"05"], all[text+"06"] = access{read, true, true}, access{read, true, true}
		all[text+"15"], all[text+"16"] = access{read, true, false}, access{read, true, false}
	}
	return all
}()

// plainRoles are the roles without values of their own.
var plainRoles = map[string]protocol.Form{
	"clock": protocol.FormOther, "power_failures": protocol.FormNumber, "rated_voltage": protocol.FormNumber, "maximum_current": protocol.FormNumber,
}

// role reads what the row means to the bridge: of a relay with the raw values for open and closed.
func (p *mapParser) role(w *row) {
	words := strings.Fields(p.cells[columnRole])
	if len(words) == 0 {
		return
	}
	w.role = role{name: strings.ToLower(words[0]), closed: 1}
	if w.role.name != roleRelay && w.role.name != roleRelayState {
		if _, ok := plainRoles[w.role.name]; !ok || len(words) > 1 || w.role.name == "clock" {
			p.bad(columnRole, "%q is no role; there are relay, relay_state (with open=0 closed=1 unless told otherwise), power_failures, rated_voltage and maximum_current", p.cells[columnRole])
		}
		return
	}
	for _, word := range words[1:] {
		name, digits, _ := strings.Cut(word, "=")
		n, ok := parseRaw(digits)
		switch {
		case ok && name == "open":
			w.role.open = n
		case ok && name == "closed":
			w.role.closed = n
		default:
			p.bad(columnRole, "%q is neither open= nor closed= with a raw value, such as closed=1 or open=0x5555", word)
		}
	}
	if w.role.open == w.role.closed {
		p.bad(columnRole, "open and closed are the same raw value")
	}
}

// parseRaw reads a raw value: decimal, or hex with 0x before it or H behind it.
func parseRaw(text string) (uint64, bool) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, true
	}
	lower := strings.ToLower(text)
	digits := strings.TrimSuffix(strings.TrimPrefix(lower, "0x"), "h")
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && digits != lower
}

// count reads a whole number.
func (p *mapParser) count(column string, byDefault, least, most int) int {
	text := p.cells[column]
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		p.bad(column, "%q is no number of registers from %d to %d", text, least, most)
		return byDefault
	}
	return n
}

// fits checks that type, area and the rest of a row go together.
func (p *mapParser) fits(w *row) {
	number := w.kind == Unsigned || w.kind == Signed || w.kind == Float || w.kind == BCD
	switch {
	case w.area.ofBits() && w.kind != Bool:
		p.bad(columnType, "the area %s holds bits: its type is bool", w.area)
	case !w.area.ofBits() && w.kind == Bool:
		p.bad(columnType, "the area %s holds registers: for one of their bits write bit0 to bit15", w.area)
	case int(w.register)+w.registers > 1<<16:
		p.bad(columnRegister, "%d registers from %d on go beyond 65535", w.registers, w.register)
	case !w.area.ofBits() && w.registers > w.longest:
		p.bad(columnLongest, "the value takes %d registers, and a request may have %d", w.registers, w.longest)
	case !number && (p.cells[columnScale] != "" || p.cells[columnOffset] != "" || w.ratio != ""):
		p.bad(columnType, "scale, offset and ratio go with numbers only")
	case w.noFloat && w.kind != Float:
		p.bad(columnInvalid, "NaN goes with floats only")
	case w.access.write && (w.kind == Bit || w.half != whole):
		p.bad(columnAccess, "a part of a register cannot be written, since that would write the rest too")
	case w.access.write && w.ratio != "":
		p.bad(columnAccess, "what is multiplied by a ratio is measured, and not written")
	case w.access.write && w.access.single && w.registers > 1:
		p.bad(columnAccess, "function 06 writes one register, and the value takes %d", w.registers)
	case w.access.write && w.registers > mostWritten:
		p.bad(columnAccess, "a request writes %d registers at most, and the value takes %d", mostWritten, w.registers)
	case w.role.name == roleRelay && !w.access.write:
		p.bad(columnRole, "a relay is switched by writing it: its access is W or RW")
	case w.role.name == roleRelayState && !w.access.read:
		p.bad(columnRole, "the state of a relay is read: its access is R or RW")
	case w.role.name == roleRelay && w.kind != Bool && w.kind != Unsigned, w.role.name == roleRelayState && w.kind != Bool && w.kind != Unsigned && w.kind != Bit:
		p.bad(columnType, "a relay is a coil or an unsigned register")
	case w.role.name != "" && w.role.name != roleRelay && w.role.name != roleRelayState && plainRoles[w.role.name] == protocol.FormNumber && !number:
		p.bad(columnRole, "%s is a number", w.role.name)
	}
	if w.role.name == roleRelay || w.role.name == roleRelayState {
		for _, raw := range []uint64{w.role.open, w.role.closed} {
			if !w.holds(raw) {
				p.bad(columnRole, "%d is more than the value holds, which has %d bits", raw, w.bits())
			}
		}
	}
	for _, mark := range w.invalid {
		if !w.holds(mark) {
			p.bad(columnInvalid, "%X is more than the value holds, which has %d bits", mark, w.bits())
		}
	}
}

// bits returns how many bits of its registers a value takes.
func (f form) bits() int {
	switch {
	case f.kind == Bool || f.kind == Bit:
		return 1
	case f.half != whole:
		return 8
	}
	return 16 * f.registers
}

// holds reports whether the value can have that raw value.
func (f form) holds(raw uint64) bool { return f.bits() >= 64 || raw>>f.bits() == 0 }

// linkRatios finds the rows by which others are multiplied.
func (p *mapParser) linkRatios() {
	for _, w := range p.m.rows {
		if w.ratio == "" {
			continue
		}
		for name := range strings.SplitSeq(w.ratio, "*") {
			name = strings.TrimSpace(name)
			ratio := p.m.byName[name]
			if r, ok := parseRegister(name); ratio == nil && ok {
				ratio = p.ratioAt(w, r)
			}
			switch {
			case ratio == nil:
				p.complain(w.line, columnRatio, "%q is neither an item of this table nor a register; several are written as a*b", name)
			case ratio == w || ratio.ratio != "":
				p.complain(w.line, columnRatio, "%s is multiplied itself, so that it is no ratio", name)
			case !ratio.access.read || ratio.kind != Unsigned && ratio.kind != Float && ratio.kind != BCD:
				p.complain(w.line, columnRatio, "%s is no number without sign that can be read", name)
			default:
				w.ratios = append(w.ratios, ratio)
			}
		}
	}
}

// ratioAt returns the row of a register in the area of w, if need be one of its own.
func (p *mapParser) ratioAt(w *row, register uint16) *row {
	for _, other := range p.m.rows {
		if other.area == w.area && other.register == register {
			return other
		}
	}
	return &row{
		area: w.area, register: register, form: forms["u16"], scale: exactOf(protocol.Decimal{Coefficient: 1}), offset: exactOf(protocol.Decimal{}),
		access: access{read: true}, longest: w.longest, gap: w.gap, line: w.line,
	}
}

// checkNeighbours complains of rows that share registers.
func (p *mapParser) checkNeighbours() {
	sorted := slices.Clone(p.m.rows)
	slices.SortStableFunc(sorted, before)
	for i, w := range sorted {
		for _, next := range sorted[i+1:] {
			if next.area != w.area || int(next.register) >= int(w.register)+w.registers {
				break
			}
			if !w.form.shares(next.form) {
				later, earlier := next, w
				if later.line < earlier.line {
					later, earlier = earlier, later
				}
				p.complain(later.line, columnRegister, "%s lies on registers of %s, in row %d", later.item, earlier.item, earlier.line)
			}
		}
	}
}

// before compares rows by their place.
func before(a, b *row) int {
	if a.area != b.area {
		return int(a.area) - int(b.area)
	}
	return int(a.register) - int(b.register)
}

// shares reports whether two values may lie in the same register: different bits or halves of it.
func (f form) shares(other form) bool {
	switch {
	case f.kind == Bit && other.kind == Bit:
		return f.bit != other.bit
	case f.half != whole && other.half != whole:
		return f.half != other.half
	}
	return false
}

// checkRoles complains of roles that are there twice, or of a relay that cannot be read back.
func (p *mapParser) checkRoles() {
	seen := map[string]*row{}
	for _, w := range p.m.rows {
		if w.role.name == "" {
			continue
		}
		if other := seen[w.role.name]; other != nil {
			p.complain(w.line, columnRole, "%s has the role %s too, in row %d", other.item, w.role.name, other.line)
			continue
		}
		seen[w.role.name] = w
	}
	if relay := seen[roleRelay]; relay != nil && !relay.access.read && seen[roleRelayState] == nil {
		p.complain(relay.line, columnRole, "a relay is read back: make its access RW, or give another row the role relay_state")
	}
}

// reads returns the function that reads the area.
func (a area) reads() Function {
	return map[area]Function{coils: ReadCoils, discretes: ReadDiscretes, holdings: ReadHolding, inputs: ReadInput}[a]
}

// withRole returns the row that has a role, or nil.
func (m *Map) withRole(name string) *row {
	for _, w := range m.rows {
		if w.role.name == name {
			return w
		}
	}
	return nil
}

// relayState returns the row that says what the relay does: nil if there is none.
func (m *Map) relayState() *row {
	if state := m.withRole(roleRelayState); state != nil {
		return state
	}
	if relay := m.withRole(roleRelay); relay != nil && relay.access.read {
		return relay
	}
	return nil
}
