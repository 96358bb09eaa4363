package simulator

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
)

// Open makes a bus by the parameters of a URL such as sim://?meters=4&fault=late:0.05:
//
//	meters      how many, 1 to 1000; default 4
//	addresses   of the meters in place of their number, as in 112233445566,12@1997; a meter may have a mode of
//	            its own, as in 12@1997?baud=9600&parity=none&stop=1, and one of 188 what it measures, as in
//	            12@188?type=20, which in a URL is escaped
//	protocols   of the meters in turn, as in 2007,698 for every other one; default 2007. One may have a mode too, as
//	            in 698?baud=9600; meters of 188 are of water, heat and gas in turn, those of modbus are DTSU666, and
//	            modbus/sdm120 has another register map. protocol says the same
//	baud        bits per second, 0 for bytes that take no time; default 2400
//	turnaround  of the meters; default 20ms
//	fe          bytes FEH before an answer; default 4
//	longest     most data of an answer in bytes, 64 to 200; default 200
//	seed        of values and faults; default 1
//	fault       see [ParseFaults]; default none
//	passwords   of all meters, as in 02123456,04000000; default digits 000000 for both
//	lock        wrong passwords in a row that lock a meter for a day; default 0 for never
//	lacks       identifiers that no meter has, as in 0400010C,0201FF00, or 200F0200 of DL/T 698.45; default none
//	counting    true for values that tell the exchange: see [Counted], [Counted698], [Counted188] and
//	            [CountedSlave]; default false
//	secured     true for meters of DL/T 698.45 that demand their rights; default false
//	fragment    of those: most bytes of an answer in a frame, the rest comes in fragments; default 0 for all
//	block       of those: most bytes of an answer, the rest is asked for block by block; default 0 for all
//	scrambled   true for those to add 33H to their data; default false
//	one_row     true for those to give one row of a record, whatever was asked; default false
//
// The addresses are 000000000001 and so on; meters at an even place have one phase, the
// others three. The third one feeds a little back. An error names the parameter that is
// unknown or cannot be.
func Open(parameters url.Values) (*Bus, error) {
	p := parameterReader{parameters: maps.Clone(parameters)}
	o := BusOptions{
		Baud:       int(p.number("baud", 2400, 0, 4_000_000)),
		WakeUp:     int(p.number("fe", 4, 0, 255)),
		Turnaround: p.duration("turnaround", 20*time.Millisecond),
		Seed:       uint64(p.number("seed", 1, 0, 1<<62)),
	}
	var err error
	if o.Faults, err = ParseFaults(p.pop("fault", "")); err != nil {
		p.complain(err)
	}
	meters, newer := p.meters(o.Seed), p.newer(o.Seed)
	for _, name := range slices.Sorted(maps.Keys(p.parameters)) {
		p.complain(fmt.Errorf("there is no parameter %q; there are addresses, baud, block, counting, fault, fe, fragment, lacks, lock, longest, meters, one_row, passwords, protocols, scrambled, secured, seed and turnaround", name))
	}
	if p.err != nil {
		return nil, fmt.Errorf("simulated bus: %w", p.err)
	}
	for _, plan := range meters {
		if err := plan.add(&o, newer); err != nil {
			return nil, fmt.Errorf("simulated bus: %w", err)
		}
	}
	return NewBus(o), nil
}

// A planned meter is one that is to be made.
type planned struct {
	MeterOptions
	protocol string
	measures cjt188.Type // of 188; zero: the next in turn
}

// protocol698 is the protocol that is no edition of DL/T 645.
const protocol698 = "698"

// types188 are what the meters of CJ/T 188 on a bus measure, in turn.
var types188 = []cjt188.Type{cjt188.ColdWater, cjt188.Heat, cjt188.Gas}

// addDevice adds a device to the bus that is described, unless there is one of its family and address.
func addDevice(o *BusOptions, d Device, err error) error {
	if err != nil {
		return err
	}
	if slices.ContainsFunc(o.Devices, func(other Device) bool { return other.Address() == d.Address() && other.language() == d.language() }) {
		return fmt.Errorf("there are two meters %s", d.Address())
	}
	o.Devices = append(o.Devices, d)
	return nil
}

// add188 makes a meter of CJ/T 188.
func (p planned) add188(o *BusOptions) error {
	of := 0
	for _, d := range o.Devices {
		if d.Protocol() == cjt188.Name {
			of++
		}
	}
	measures := p.measures
	if measures == 0 {
		measures = types188[of%len(types188)]
	}
	m, err := NewMeter188(Meter188Options{Address: p.Address, Type: measures, Seed: p.Seed, Counting: p.Counting, Mode: p.Mode})
	return addDevice(o, m, err)
}

// addSlave makes a meter of Modbus; without a model it is a DTSU666.
func (p planned) addSlave(o *BusOptions) error {
	var own *modbus.Map
	if _, model, ok := strings.Cut(p.protocol, "/"); ok {
		if own, ok = modbus.BuiltIn(model); !ok {
			return fmt.Errorf("there is no register map %q; there are %s", model, strings.Join(modbus.Models(), ", "))
		}
	}
	address := strings.TrimLeft(p.Address, "0")
	m, err := NewSlave(SlaveOptions{Address: address, Map: own, Seed: p.Seed, Counting: p.Counting, Mode: p.Mode})
	return addDevice(o, m, err)
}

// add makes the meter and adds it to the bus that is described.
func (p planned) add(o *BusOptions, newer Meter698Options) error {
	switch family, _, _ := strings.Cut(p.protocol, "/"); family {
	case protocol698:
		for _, di := range p.Lacks {
			newer.Lacks = append(newer.Lacks, dlt698.OAD(di))
		}
		newer.Address, newer.OnePhase, newer.Feeding, newer.Counting, newer.Mode = p.Address, p.OnePhase, p.Feeding, p.Counting, p.Mode
		m, err := NewMeter698(newer)
		return addDevice(o, m, err)
	case cjt188.Name:
		return p.add188(o)
	case modbus.Name:
		return p.addSlave(o)
	}
	m, err := NewMeter(p.MeterOptions)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(o.Meters, func(other *Meter) bool { return other.address == m.address }) {
		return fmt.Errorf("there are two meters %s", m.address)
	}
	o.Meters = append(o.Meters, m)
	return nil
}

// newer reads the options of the meters of DL/T 698.45.
func (p *parameterReader) newer(seed uint64) Meter698Options {
	return Meter698Options{
		Seed:      seed,
		Secured:   p.boolean("secured"),
		Scrambled: p.boolean("scrambled"),
		OneRow:    p.boolean("one_row"),
		Fragment:  int(p.number("fragment", 0, 0, 2000)),
		Block:     int(p.number("block", 0, 0, 2000)),
	}
}

// A parameterReader takes parameters out of a set and keeps the first complaint.
type parameterReader struct {
	parameters url.Values
	err        error
}

func (p *parameterReader) complain(err error) {
	if p.err == nil {
		p.err = err
	}
}

// pop removes a parameter; one that is not there has the default value.
func (p *parameterReader) pop(name, missing string) string {
	values, ok := p.parameters[name]
	delete(p.parameters, name)
	if !ok || len(values) == 0 {
		return missing
	}
	// A list in a URL may also be written as the parameter several times.
	return strings.Join(values, ",")
}

// list takes a list; one that is not there is empty.
func (p *parameterReader) list(name string) []string {
	return strings.FieldsFunc(p.pop(name, ""), func(r rune) bool { return r == ',' })
}

func (p *parameterReader) number(name string, missing, least, most int64) int64 {
	text := p.pop(name, strconv.FormatInt(missing, 10))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		p.complain(fmt.Errorf("%s is %q: write a whole number from %d to %d", name, text, least, most))
		return missing // or what is made of it would never end
	}
	return n
}

func (p *parameterReader) duration(name string, missing time.Duration) time.Duration {
	text := p.pop(name, missing.String())
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		p.complain(fmt.Errorf("%s is %q: write a duration with its unit, as in 20ms", name, text))
	}
	return d
}

func (p *parameterReader) boolean(name string) bool {
	text := p.pop(name, "false")
	b, err := strconv.ParseBool(text)
	if err != nil {
		p.complain(fmt.Errorf("%s is %q: write true or false", name, text))
	}
	return b
}

// version reads an edition of DL/T 645; zero for another protocol.
func (p *parameterReader) version(text string) dlt645.Version {
	if family, _, _ := strings.Cut(text, "/"); family == protocol698 || family == cjt188.Name || family == modbus.Name {
		return 0
	}
	v, err := dlt645.ParseVersion(text)
	if err != nil {
		p.complain(fmt.Errorf("protocol %q: write 2007 or 1997, 698, 188, modbus or modbus/MODEL", text))
	}
	return v
}

// mode reads the mode of a meter; of nothing it is zero, that of the line.
func (p *parameterReader) mode(text string) protocol.Mode {
	mode, _ := p.own(text, false)
	return mode
}

// own reads what a meter has of its own: the mode, and if it is one of CJ/T 188 the type, which is zero if it is not
// given.
func (p *parameterReader) own(text string, typed bool) (mode protocol.Mode, measures cjt188.Type) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return mode, 0
	}
	of := parameterReader{parameters: values}
	known := "baud, parity and stop"
	if typed {
		known = "baud, parity, stop and type"
		if text := of.pop("type", ""); text != "" {
			n, err := strconv.ParseUint(text, 16, 8)
			if measures = cjt188.Type(n); err != nil || !measures.IsValid() {
				of.complain(fmt.Errorf("type=%s: a type is two hex digits from 10 to 49: 10 cold water, 20 heat, 30 gas", text))
			}
		}
	}
	if len(of.parameters) > 0 {
		mode = protocol.Mode{Baud: int(of.number("baud", 2400, protocol.LowestBaud, protocol.HighestBaud)), Parity: of.pop("parity", "even"), Stop: int(of.number("stop", 1, 1, 2))}
		if err := protocol.CheckParity(mode.Parity); err != nil {
			of.complain(err)
		}
	}
	for name := range of.parameters {
		of.complain(fmt.Errorf("a meter has no parameter %q; there are %s", name, known))
	}
	if of.err != nil {
		p.complain(fmt.Errorf("%q: %w", text, of.err))
	}
	return mode, measures
}

// meters reads the options of the meters.
func (p *parameterReader) meters(seed uint64) (meters []planned) {
	count := p.number("meters", 4, 1, 1000)
	addresses := p.list("addresses")
	if len(addresses) == 0 {
		for n := range count {
			addresses = append(addresses, fmt.Sprintf("%012d", n+1))
		}
	}
	protocols := append(p.list("protocols"), p.list("protocol")...)
	if len(protocols) == 0 {
		protocols = []string{dlt645.V2007.String()}
	}
	common := MeterOptions{
		Seed:      seed,
		Passwords: p.pop("passwords", ""),
		LockAfter: int(p.number("lock", 0, 0, 1000)),
		Longest:   int(p.number("longest", mostData, leastData, mostData)),
		Counting:  p.boolean("counting"),
	}
	lacks := p.list("lacks")
	for n, entry := range addresses {
		o := common
		entry, mode, _ := strings.Cut(entry, "?")
		address, edition, own := strings.Cut(entry, "@")
		var measures cjt188.Type
		o.Mode, measures = p.own(mode, edition == cjt188.Name)
		if !own {
			edition, mode, _ = strings.Cut(protocols[n%len(protocols)], "?")
			if o.Mode == (protocol.Mode{}) {
				o.Mode = p.mode(mode)
			}
		}
		o.Address, o.Version = address, p.version(edition)
		o.OnePhase, o.Feeding = n%2 == 1, n == 2
		for _, text := range lacks {
			di, err := strconv.ParseUint(text, 16, 32)
			if err != nil || len(text) != 8 && len(text) != 4 {
				p.complain(fmt.Errorf("lacks %q: write an identifier of 8 hex digits, or 4 of the 1997 edition", text))
			}
			o.Lacks = append(o.Lacks, dlt645.DI(di))
		}
		meters = append(meters, planned{o, edition, measures})
	}
	return meters
}
