package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// A slave has the registers and coils that are in its maps, and refuses a request with any other.
type slave struct {
	address   byte
	registers map[uint16]uint16
	coils     map[uint16]bool
	only10    bool // it does not know function 06
	most      int  // registers of a request; 0: any number
	deaf      bool // to writes
	frozen    bool // it acknowledges writes and does nothing
	requests  []Frame
}

func (s *slave) answer(t testing.TB, request []byte) []byte {
	t.Helper()
	f, err := ParseFrame(request)
	if err != nil || checkRequest(f) != nil {
		t.Fatalf("% X: %v, %v", request, err, checkRequest(f))
	}
	if f.Address != s.address {
		return nil
	}
	s.requests = append(s.requests, f)
	first, count, _ := parsePlace(f)
	refuse := func(code byte) []byte { return mustAppend(Frame{f.Address, f.Function | refused, []byte{code}}) }
	reply := func(data ...byte) []byte { return mustAppend(Frame{f.Address, f.Function, data}) }
	if s.most > 0 && count > s.most {
		return refuse(illegalValue)
	}
	var data []byte
	for at := first; at < first+count; at++ {
		value, ok := s.registers[uint16(at)]
		if f.Function.readsBits() || f.Function == WriteCoil || f.Function == WriteCoils {
			_, ok = s.coils[uint16(at)]
		}
		if !ok {
			return refuse(illegalAddress)
		}
		data = binary.BigEndian.AppendUint16(data, value)
	}
	if !f.Function.isRead() && s.deaf {
		return nil
	}
	switch f.Function {
	case ReadHolding, ReadInput:
		return reply(append([]byte{byte(len(data))}, data...)...)
	case ReadCoils, ReadDiscretes:
		bits := make([]byte, (count+7)/8)
		for i := range count {
			if s.coils[uint16(first+i)] {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		return reply(append([]byte{byte(len(bits))}, bits...)...)
	case WriteCoil:
		if !s.frozen {
			s.coils[uint16(first)] = f.Data[2] == 0xFF
		}
		return reply(f.Data...)
	case WriteRegister:
		if s.only10 {
			return refuse(illegalFunction)
		}
		s.registers[uint16(first)] = binary.BigEndian.Uint16(f.Data[2:])
		return reply(f.Data...)
	case WriteCoils:
		for i := range count {
			s.coils[uint16(first+i)] = f.Data[5+i/8]>>(i%8)&1 != 0
		}
	case WriteRegisters:
		for i := range count {
			s.registers[uint16(first+i)] = binary.BigEndian.Uint16(f.Data[5+2*i:])
		}
	}
	return reply(f.Data[:4]...)
}

// sent lists the requests, as "03 2006 2".
func (s *slave) sent() string {
	var texts []string
	for _, f := range s.requests {
		first, count, _ := parsePlace(f)
		texts = append(texts, fmt.Sprintf("%02X %04X %d", byte(f.Function), first, count))
	}
	return strings.Join(texts, ", ")
}

// put puts hex into registers.
func (s *slave) put(first uint16, data string) {
	b := frametest.FromHex(data)
	for i := 0; i < len(b); i += 2 {
		s.registers[first+uint16(i/2)] = binary.BigEndian.Uint16(b[i:])
	}
}

// A memory keeps which blocks a slave has refused, as a bus does.
type memory map[string]bool

func (m memory) Lacks(block string) bool { return m[block] }
func (m memory) Learned(string) string   { return "" }

// follow follows a plan to its end, against a slave.
func follow(t testing.TB, plan protocol.Plan, known memory, s *slave) (values map[string]protocol.Value, failed map[string]error, report *protocol.Report, end error) {
	t.Helper()
	came := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	return frametest.Follow(t, plan, func(step *protocol.Step) protocol.Answer {
		answer := protocol.Answer{Err: protocol.ErrSilent}
		if token := frametest.Trickle(t, step.First.Answer, s.answer(t, step.First.Request)); token != nil {
			_, answer.Result, answer.Err = step.First.Take(token)
			came = came.Add(100 * time.Millisecond)
			answer.Came = came
		}
		if answer.Err != nil && step.Block != "" {
			known[step.Block] = true
		}
		return answer
	})
}

func planned(t testing.TB, m *Meters, known memory, request protocol.Request) protocol.Plan {
	t.Helper()
	var err error
	if request.Address, err = m.ParseAddress("7"); err != nil {
		t.Fatal(err)
	}
	plan, err := m.Plan(request, known)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func newSlave() *slave {
	return &slave{address: 7, registers: map[uint16]uint16{}, coils: map[uint16]bool{}}
}

// TestRead reads slaves, and holds which requests that took.
func TestRead(t *testing.T) {
	table := []string{
		"voltage_a,holding,0x10,u16,,0.1,,V",
		"voltage_b,holding,0x11,u16,,0.1,,V",
		"current_a,holding,0x14,u16,,0.01,,A,ct",
		"active_power,holding,0x80,i32,,0.001,,kW,ct*pt",
		"ct,holding,0x100,u16",
		"pt,holding,0x101,u16,,0.1",
		"bad,holding,0x12,bcd16",
		"flag,coil,3,bool",
		"other,coil,5,bool",
		"own,holding,0x20,u16,,,,A,0x21",
		"secret,holding,0x200,u16,,,,,,,W",
	}
	for _, row := range []struct {
		name   string
		change func(*slave)
		items  string
		want   string
		wrong  string
		sent   string
	}{
		{name: "neighbours at once", items: "voltage_b voltage_a", want: "voltage_a=230.1 V; voltage_b=230.2 V", sent: "03 0010 2"},
		{name: "the same twice", items: "voltage_a voltage_a", want: "voltage_a=230.1 V", sent: "03 0010 1"},
		{name: "a ratio apart", items: "current_a voltage_a", want: "current_a=40.00 A; voltage_a=230.1 V", sent: "03 0100 1, 03 0010 5"},
		{name: "two ratios", items: "active_power", want: "active_power=-400.000 kW", sent: "03 0100 2, 03 0080 2"},
		{name: "a ratio beside it", items: "own", want: "own=150 A", sent: "03 0020 2"},
		{name: "coils", items: "flag other", want: "flag=true; other=false", sent: "01 0003 3"},
		{name: "by their place", items: "holding:0010:2 holding:80 coil:0003:3", want: `coil:0003:3="01"; holding:0010:2="08FD08FE"; holding:0080="FFFF"`, sent: "01 0003 3, 03 0010 2, 03 0080 1"},
		{name: "a hole between them", change: func(s *slave) { delete(s.registers, 0x12) }, items: "voltage_b current_a", want: "current_a=40.00 A; voltage_b=230.2 V", sent: "03 0100 1, 03 0011 4, 03 0011 1, 03 0014 1"},
		{name: "few at once", change: func(s *slave) { s.most = 2 }, items: "voltage_a voltage_b bad", want: "bad=1234; voltage_a=230.1 V; voltage_b=230.2 V", sent: "03 0010 3, 03 0010 1, 03 0011 2"},
		{name: "one that cannot be read", change: func(s *slave) { s.put(0x12, "12A4") }, items: "voltage_b bad", want: "voltage_b=230.2 V", wrong: "bad: read bad of slave 7: no valid answer: 12 A4 is no BCD", sent: "03 0011 2, 03 0011 1, 03 0012 1"},
		{name: "not there", change: func(s *slave) { delete(s.registers, 0x10) }, items: "voltage_a", wrong: "voltage_a: the meter refused (code 02H): illegal_address", sent: "03 0010 1"},
		{name: "a ratio of 0", change: func(s *slave) { s.put(0x100, "0000") }, items: "voltage_a current_a", want: "voltage_a=230.1 V", wrong: "current_a: read current_a of slave 7: no valid answer: ct, by which it is multiplied, is no number above 0", sent: "03 0100 1, 03 0010 5, 03 0010 1, 03 0014 1"},
		{name: "a ratio that is not there", change: func(s *slave) { delete(s.registers, 0x100) }, items: "voltage_a current_a", want: "voltage_a=230.1 V", wrong: "current_a: the meter refused", sent: "03 0100 1, 03 0010 1"},
		{name: "dead", change: func(s *slave) { s.address = 8 }, items: "voltage_a", wrong: "voltage_a: no answer", sent: ""},
		{name: "unknown", items: "voltage_a voltage_z", want: "voltage_a=230.1 V", wrong: `voltage_z: unknown item: "voltage_z" is neither`, sent: "03 0010 1"},
		{name: "only to be written", items: "voltage_a secret", want: "voltage_a=230.1 V", wrong: "secret: unsupported: secret can be written but not read", sent: "03 0010 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSlave()
			for at := range uint16(0x30) {
				s.registers[at] = 0
			}
			s.coils[3], s.coils[4], s.coils[5] = true, false, false
			s.put(0x10, "08FD 08FE 1234 0000 0064")
			s.put(0x20, "0003 0032")
			s.put(0x80, "FFFF FC18")
			s.put(0x100, "0028 0064")
			if row.change != nil {
				row.change(s)
			}
			known := memory{}
			plan := planned(t, New(parse(t, table...)), known, protocol.Request{Verb: protocol.VerbRead, Items: strings.Fields(row.items)})
			if plan.Permission != protocol.PermitRead {
				t.Errorf("the plan needs %s", plan.Permission)
			}
			values, failed, _, err := follow(t, plan, known, s)
			if err != nil {
				t.Fatal(err)
			}
			var got []protocol.Value
			for _, name := range slices.Sorted(maps.Keys(values)) {
				got = append(got, values[name])
			}
			if frametest.Show(got) != row.want {
				t.Errorf("it brings %s, want %s", frametest.Show(got), row.want)
			}
			item, words, _ := strings.Cut(row.wrong, ": ")
			if err := failed[item]; row.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), words)) {
				t.Errorf("%s fails by %v, want %s", item, err, words)
			}
			if row.wrong == "" && len(failed) > 0 {
				t.Errorf("it fails: %v", failed)
			}
			if s.sent() != row.sent {
				t.Errorf("it sends %s, want %s", s.sent(), row.sent)
			}
		})
	}
}

// TestRefusedBlock asks no second time for a block that was refused.
func TestRefusedBlock(t *testing.T) {
	s, known := newSlave(), memory{}
	s.put(0x10, "08FD")
	s.put(0x14, "0064")
	m := New(parse(t, "a,holding,0x10,u16", "b,holding,0x14,u16"))
	for _, want := range []string{"03 0010 5, 03 0010 1, 03 0014 1", "03 0010 1, 03 0014 1"} {
		s.requests = nil
		values, _, _, err := follow(t, planned(t, m, known, protocol.Request{Verb: protocol.VerbRead, Items: []string{"a", "b"}}), known, s)
		if err != nil || len(values) != 2 || s.sent() != want {
			t.Errorf("it sends %s, want %s; %v, %v", s.sent(), want, values, err)
		}
	}
}

// TestTwentyValues reads twenty values of one meter in three requests.
func TestTwentyValues(t *testing.T) {
	m, _ := BuiltIn("dtsu666")
	s := newSlave()
	for at := range uint16(0x1000) {
		s.registers[0x1000+at], s.registers[0x2000+at] = 0, 0
	}
	items := strings.Fields("forward_active_energy reverse_active_energy voltage_a voltage_b voltage_c voltage_ab voltage_bc voltage_ca current_a current_b current_c " +
		"active_power active_power_a active_power_b active_power_c reactive_power power_factor power_factor_a power_factor_b frequency")
	values, failed, _, err := follow(t, planned(t, New(m), nil, protocol.Request{Verb: protocol.VerbRead, Items: items}), memory{}, s)
	if err != nil || len(values) != 20 || len(failed) > 0 || len(s.requests) > 3 {
		t.Errorf("%d values in %s: %v, %v", len(values), s.sent(), failed, err)
	}
}

// TestLongest cuts requests where a map, or the protocol, has too much for one.
func TestLongest(t *testing.T) {
	var rows []string
	for i := range 40 {
		rows = append(rows, fmt.Sprintf("x%d,holding,%d,raw8", i, 8*i))
	}
	for _, row := range []struct {
		longest string
		want    int
	}{{"", 3}, {"16", 20}, {"8", 40}} {
		table := slices.Clone(rows)
		table[0] += ",,,,,,,,,,," + row.longest
		m := parse(t, table...)
		spans := spansOf(m.rows, nil)
		if len(spans) != row.want {
			t.Errorf("longest %q: %d requests, want %d", row.longest, len(spans), row.want)
		}
		for _, s := range spans {
			if s.count > mostRegisters || s.count != 8*len(s.rows) {
				t.Errorf("a request for %d registers", s.count)
			}
		}
	}
}

// TestWrite writes a value of each type, and reads it back.
func TestWrite(t *testing.T) {
	table := []string{
		"a,holding,1,u16,,0.1,,V,,,RW", "b,holding,2,i32,CDAB,0.01,10,,,,RW16", "c,holding,4,f32,,0.1,,,,,RW", "d,holding,6,bcd16,,,,,,,RW06", "e,holding,7,string2,,,,,,,RW",
		"f,coil,1,bool,,,,,,,RW", "g,coil,2,bool,,,,,,,RW15", "h,holding,9,u16,,,,,,,W", "i,holding,10,raw1,,,,,,,RW", "j,holding,11,u64,,,,,,,RW", "k,input,1,u16", "l,coil,9,bool,,,,,,,RW,relay",
		"m,holding,20,f64,,,,,,,RW",
	}
	m := New(parse(t, table...))
	for _, row := range []struct{ item, value, sent, want string }{
		{"a", "230.2", "07 10 0001 0001 02 08FE", "230.2"},
		{"b", "9.99", "07 10 0002 0002 04 FFFF FFFF", "9.99"},
		{"c", "230.2", "07 10 0004 0002 04 450F E000", "230.2"},
		{"d", "1234", "07 06 0006 1234", "1234"},
		{"e", `"AB"`, "07 10 0007 0002 04 4142 0000", "AB"},
		{"f", "true", "07 05 0001 FF00", "true"},
		{"g", "true", "07 0F 0002 0001 01 01", "true"},
		{"h", "7", "07 10 0009 0001 02 0007", ""},
		{"i", `"01FF"`, "07 10 000A 0001 02 01FF", "01FF"},
		{"j", "258", "07 10 000B 0004 08 0000 0000 0000 0102", "258"},
		{"m", "0.1", "07 10 0014 0004 08 3FB9 9999 9999 999A", "0.1"},
		{"holding:0030:1", `"BEEF"`, "07 10 0030 0001 02 BEEF", "BEEF"},
		{"a", "230.25", "", "a multiple of 0.1 V"},
		{"a", "6553.6", "", "beyond what its registers hold"},
		{"a", "-0.1", "", "beyond what its registers hold"},
		{"a", `"1"`, "", "a decimal number"},
		{"b", "21474846.48", "", "beyond what its registers hold"},
		{"d", "10000", "", "beyond what its registers hold"},
		{"e", `"ABCDE"`, "", "a string of up to 4 ASCII"},
		{"e", `"Ü"`, "", "a string of up to 4 ASCII"},
		{"f", "1", "", "true or false"},
		{"i", `"1"`, "", "a string of 4 hex digits"},
		{"k", "1", "", "can be read but not written"},
		{"l", "true", "", "switch it by relay"},
		{"coil:0009", `"01"`, "", "switch it by relay"},
		{"input:0001", `"0001"`, "", "can be read but not written"},
		{"holding:0001:124", `"00"`, "", "123 registers at most"},
		{"", "1", "", "names the item"},
	} {
		t.Run(row.item+"="+row.value, func(t *testing.T) {
			decoder := json.NewDecoder(strings.NewReader(row.value))
			decoder.UseNumber()
			var value any
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			s, known := newSlave(), memory{}
			for at := range uint16(0x40) {
				s.registers[at], s.coils[at] = 0, false
			}
			a, _ := m.ParseAddress("7")
			plan, err := m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: a, Command: &protocol.Command{Arguments: protocol.Arguments{"item": row.item, "value": value}}}, known)
			if row.sent == "" {
				if !errors.Is(err, protocol.ErrBadRequest) || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%v, want an error with %q", err, row.want)
				}
				return
			}
			if err != nil || plan.Permission != protocol.PermitWrite || !plan.Steps[0].IsCommand() {
				t.Fatalf("%+v, %v", plan, err)
			}
			_, _, report, err := follow(t, plan, known, s)
			if err != nil {
				t.Fatal(err)
			}
			if want := frametest.FromHex(row.sent); !bytes.Equal(mustAppend(s.requests[0])[:len(want)], want) {
				t.Errorf("it sends % X, want %s", mustAppend(s.requests[0]), row.sent)
			}
			if row.want == "" {
				if report.Readable || report.Note == "" {
					t.Errorf("the report is %+v", report)
				}
				return
			}
			if !report.Verified || fmt.Sprint(report.Value.Data) != row.want {
				t.Errorf("the report is %+v", report)
			}
		})
	}
}

// TestRelay switches relays of each sort, and looks what became of them.
func TestRelay(t *testing.T) {
	coil := "relay_open,coil,1,bool,,,,,,,RW,relay"
	word := "relay_open,holding,1,u16,,,,,,,RW,relay open=0x5555 closed=0xAAAA"
	for _, row := range []struct {
		name, action string
		table        []string
		change       func(*slave)
		sent, relay  string
		verified     bool
		pending      bool
	}{
		{name: "a coil trips", action: "trip", table: []string{coil}, sent: "07 05 0001 0000", relay: "open", verified: true},
		{name: "a coil closes", action: "close", table: []string{coil}, sent: "07 05 0001 FF00", relay: "closed", verified: true},
		{name: "a coil the other way round", action: "trip", table: []string{coil + " open=1 closed=0"}, sent: "07 05 0001 FF00", relay: "open", verified: true},
		{name: "a register", action: "trip", table: []string{word}, sent: "07 10 0001 0001 02 5555", relay: "open", verified: true},
		{name: "its state elsewhere", action: "trip", table: []string{"do,coil,1,bool,,,,,,,W,relay", "relay_open,holding,2,bit4,,,,,,,R,relay_state open=1 closed=0"}, change: func(s *slave) { s.put(2, "0010") }, sent: "07 05 0001 0000", relay: "open", verified: true},
		{name: "it does not move", action: "trip", table: []string{coil}, change: func(s *slave) { s.frozen = true }, sent: "07 05 0001 0000", relay: "closed", pending: true},
		{name: "it does not answer", action: "trip", table: []string{coil}, change: func(s *slave) { s.deaf = true }, sent: "07 05 0001 0000", relay: "closed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, known := newSlave(), memory{}
			s.coils[1] = row.action == "trip" != strings.Contains(row.table[0], "open=1")
			s.put(1, "AAAA")
			if row.change != nil {
				row.change(s)
			}
			m := New(parse(t, row.table...))
			plan := planned(t, m, known, protocol.Request{Verb: protocol.VerbRelay, Command: &protocol.Command{Action: row.action, Verify: 5 * time.Second}})
			if plan.Permission != protocol.PermitRelay || plan.Steps[0].Class != protocol.ClassRelay || !plan.Steps[0].IsCommand() {
				t.Errorf("the plan is %+v", plan)
			}
			_, _, report, err := follow(t, plan, known, s)
			if err != nil {
				t.Fatal(err)
			}
			if want := frametest.FromHex(row.sent); !bytes.Equal(mustAppend(s.requests[0])[:len(want)], want) {
				t.Errorf("it sends % X, want %s", mustAppend(s.requests[0]), row.sent)
			}
			if report.Relay != row.relay || report.Verified != row.verified || report.Pending != row.pending {
				t.Errorf("the report is %+v", report)
			}
			commands := 0
			for _, f := range s.requests {
				if !f.Function.isRead() {
					commands++
				}
			}
			if commands != 1 {
				t.Errorf("%d commands were sent", commands)
			}
			if m.Playing(protocol.RoleRelay) != "relay_open" || len(m.Actions(protocol.VerbRelay)) != 2 {
				t.Errorf("the relay is %q, its actions %v", m.Playing(protocol.RoleRelay), m.Actions(protocol.VerbRelay))
			}
		})
	}
	m := New(parse(t, "a,holding,1,u16"))
	a, _ := m.ParseAddress("7")
	if _, err := m.Plan(protocol.Request{Verb: protocol.VerbRelay, Address: a, Command: &protocol.Command{Action: "trip"}}, nil); !errors.Is(err, protocol.ErrUnsupported) || m.Actions(protocol.VerbRelay) != nil {
		t.Errorf("a map without a relay: %v", err)
	}
}

func TestPlanRefuses(t *testing.T) {
	m := New(parse(t, "relay_open,coil,1,bool,,,,,,,RW,relay"))
	a, _ := m.ParseAddress("7")
	for _, row := range []struct {
		request protocol.Request
		want    error
	}{
		{protocol.Request{Verb: protocol.VerbBroadcast, Address: a, Command: &protocol.Command{}}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbMaintenance, Address: a, Command: &protocol.Command{}}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbClock, Address: a}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbRead, Address: a, Items: []string{"relay_open"}, From: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbRelay, Address: a, Command: &protocol.Command{Action: "alarm"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRelay, Address: a}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRead, Items: []string{"relay_open"}}, protocol.ErrBadRequest},
	} {
		if plan, err := m.Plan(row.request, nil); !errors.Is(err, row.want) {
			t.Errorf("%+v: %+v, %v, want %v", row.request, plan, err, row.want)
		}
	}
}

// TestRaw holds what a client's own frame needs permission for.
func TestRaw(t *testing.T) {
	m := New(parse(t, "relay_open,holding,1,u16,,,,,,,RW,relay", "a,holding,2,u16,,,,,,,RW", "b,holding,3,u16"))
	for _, row := range []struct {
		frame []byte
		want  protocol.Permission // empty: it is refused
	}{
		{wire(7, ReadHolding, "0001 0002"), protocol.PermitRead},
		{wire(7, ReadCoils, "0001 07D0"), protocol.PermitRead},
		{wire(7, WriteCoil, "0001 FF00"), protocol.PermitRelay},
		{wire(7, WriteCoils, "0001 0001 01 01"), protocol.PermitRelay},
		{wire(7, WriteRegister, "0001 0001"), protocol.PermitRelay},
		{wire(7, WriteRegisters, "0000 0002 04 0001 0001"), protocol.PermitRelay},
		{wire(7, WriteRegister, "0002 0001"), protocol.PermitWrite},
		{wire(7, WriteRegister, "0003 0001"), protocol.PermitMaintenance},
		{wire(7, WriteRegisters, "0002 0002 04 0001 0001"), protocol.PermitMaintenance},
		{wire(7, 0x2B, "0E0100"), ""},
		{wire(7, ReadHolding, "0001 007E"), ""},
		{wire(7, ReadHolding, "0001 0000"), ""},
		{wire(7, ReadHolding, "FFFF 0002"), ""},
		{wire(7, ReadHolding, "04 0001 0002"), ""},
		{wire(7, WriteCoil, "0001 0100"), ""},
		{wire(7, WriteRegisters, "0002 0001 03 0001"), ""},
		{wire(0, WriteRegister, "0002 0001"), ""},
		{wire(248, ReadHolding, "0001 0002"), ""},
		{frametest.FromHex("01 03 20 06 00 06 2E 08"), ""},
	} {
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: row.frame}, nil)
		if row.want == "" {
			if !errors.Is(err, protocol.ErrBadRequest) {
				t.Errorf("% X: %v", row.frame, err)
			}
			continue
		}
		if err != nil || plan.Permission != row.want || !bytes.Equal(plan.Steps[0].First.Request, row.frame) || plan.Steps[0].IsCommand() != (row.want != protocol.PermitRead) {
			t.Errorf("% X: %s, %v, want %s", row.frame, plan.Permission, err, row.want)
		}
	}
	s := newSlave()
	s.put(1, "0102 0304")
	plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: wire(7, ReadHolding, "0001 0002")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := frametest.Trickle(t, plan.Steps[0].First.Answer, s.answer(t, plan.Steps[0].First.Request))
	if _, result, err := plan.Steps[0].First.Take(token); err != nil || !bytes.Equal(result.Frame, wire(7, ReadHolding, "04 0102 0304")) || result.Address.Text != "7" {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestCatalogue holds names, and what they are.
func TestCatalogue(t *testing.T) {
	built, _ := BuiltIn("dtsu666")
	m := New(built)
	for _, row := range []struct{ pattern, want string }{
		{"voltage_a", "voltage_a"}, {"voltage_*", "voltage_ab voltage_bc voltage_ca voltage_a voltage_b voltage_c"}, {"holding:2006:2", "holding:2006:2"}, {"HOLDING:2006", "holding:2006"},
	} {
		names, err := m.Match(row.pattern)
		if got := strings.Join(names, " "); err != nil || got != row.want {
			t.Errorf("%s: %s, %v, want %s", row.pattern, got, err, row.want)
		}
	}
	for _, pattern := range []string{"volume", "volume*", "holding:2006:126", "holding:2006:0", "holding:10000", "output:1", "holding:FFFF:2", "holding:1:+1"} {
		if names, err := m.Match(pattern); !errors.Is(err, protocol.ErrUnknownItem) {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
	}
	for _, row := range []struct {
		name string
		want protocol.ItemDescription
	}{
		{"voltage_a", protocol.ItemDescription{Name: "voltage_a", Unit: "V", Form: protocol.FormNumber, Decimals: 1, Ratio: protocol.RatioVoltage, English: "voltage of phase A", Chinese: "A相电压"}},
		{"current_a", protocol.ItemDescription{Name: "current_a", Unit: "A", Form: protocol.FormNumber, Decimals: 3, Ratio: protocol.RatioCurrent, English: "current of phase A", Chinese: "A相电流"}},
		{"forward_active_energy", protocol.ItemDescription{Name: "forward_active_energy", Unit: "kWh", Form: protocol.FormNumber, Decimals: 2, Counter: true, Ratio: protocol.RatioPower, English: "forward active energy", Chinese: "正向有功电能"}},
		{"power_factor", protocol.ItemDescription{Name: "power_factor", Form: protocol.FormNumber, Decimals: 3, English: "power factor", Chinese: "功率因数"}},
	} {
		if got, ok := m.Describe(row.name); !ok || got != row.want {
			t.Errorf("%s: %+v, %v, want %+v", row.name, got, ok, row.want)
		}
	}
	for _, model := range Models() {
		built, _ := BuiltIn(model)
		m := New(built)
		if m.Name() != "modbus/"+model || m.Family() != "modbus" || len(m.Basic()) < 4 {
			t.Errorf("%s: %s %s %v", model, m.Name(), m.Family(), m.Basic())
		}
		for _, row := range m.Template() {
			if _, ok := m.Describe(row.Item); !ok {
				t.Errorf("%s: the template has %s", model, row.Item)
			}
		}
	}
	if got := line.Quiet(protocol.Mode{Baud: 9600, Parity: "none", Stop: 1}); got < 3600*time.Microsecond || got > 4100*time.Microsecond {
		t.Errorf("3.5 characters at 9600 baud last %s", got)
	}
	if got := line.Quiet(protocol.Mode{Baud: 115200, Parity: "even", Stop: 1}); got != 1750*time.Microsecond {
		t.Errorf("the silence at 115200 baud lasts %s", got)
	}
}

// TestFind asks each address by itself.
func TestFind(t *testing.T) {
	s := newSlave()
	question, err := Any().Find("")
	if err != nil || len(question.Steps) != 0 {
		t.Fatal(question, err)
	}
	found := 0
	var parts []protocol.Question
	asked := map[string]bool{}
	for rank, among := range question.Narrow() {
		if among.Rank != rank || len(among.Steps) != 0 || among.Levels != 1 {
			t.Errorf("%+v at %d", among, rank)
		}
		for _, part := range among.Narrow() {
			if asked[part.Pattern] || !among.Matches(part.Pattern) {
				t.Errorf("%s is asked twice, or not where it belongs", part.Pattern)
			}
			asked[part.Pattern] = true
			parts = append(parts, part)
		}
	}
	if len(parts) != 247 || parts[0].Pattern != "1" || parts[246].Pattern != "247" {
		t.Errorf("%d addresses are asked, %s to %s", len(parts), parts[0].Pattern, parts[len(parts)-1].Pattern)
	}
	for _, part := range parts {
		token := frametest.Trickle(t, part.Steps[0].First.Answer, s.answer(t, part.Steps[0].First.Request))
		if token == nil {
			continue
		}
		if _, result, err := part.Steps[0].First.Take(token); err != nil || result.Address.Text != "7" || !part.Matches("7") {
			t.Errorf("%+v, %v", result, err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d slaves answer", found)
	}
}
