package dlt645

import (
	"fmt"
	"strconv"
	"strings"
)

// A letter is a running part of the identifiers of a family: the tariff, the phase, the
// number of a record. What it means follows from its symbol:
//
//	t        tariff; 0 is the total           _t1
//	h        settlements or months back       _h1
//	p        phase, in the order of the list  _a
//	r        record; 1 is the latest          _1
//	o        order of a harmonic              _1
//	c        occasion of a freeze             daily
//	i        field of a record                _start
//	d n w z  a plain number                   _1
//
// The highest value of the byte or nibble, if the list ends with it, asks for a block.
type letter struct {
	symbol  byte
	shift   uint8 // of its lowest bit in the identifier
	bits    uint8 // 8 or 4; 0 if it has no place in the identifier and runs over the data only
	options []option
	index   *[256]uint8 // position in options plus one, by value
}

const phases = "ABC"

// An option is one value of a letter.
type option struct {
	value  byte
	block  bool // stands for all the others
	all    bool // has all bits set: at most one letter of an identifier may
	name   string
	en, zh string
}

func (o *option) inName() string    { return o.name }
func (o *option) inEnglish() string { return o.en }
func (o *option) inChinese() string { return o.zh }

// positions chooses an option for each letter of a family.
type positions [4]uint8

// parseLetter reads the list of values of a letter, such as "00..3F,FF", "15,29,3D" or
// "3..A@1", which counts from 1. The letter i lists the fields of its record.
func parseLetter(symbol byte, bits uint8, list string, record []field) (letter, error) {
	l := letter{symbol: symbol, bits: bits, index: new([256]uint8)}
	list, first, counted := strings.Cut(list, "@")
	start, err := strconv.Atoi(first)
	if counted && err != nil {
		return l, fmt.Errorf("letter %c: %q is no number to count from", symbol, first)
	}
	highest := byte(1<<bits - 1)
	if bits == 0 {
		highest = 0xFF
		list += ",FF"
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "..")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 16, 8)
		to, err2 := strconv.ParseUint(high, 16, 8)
		if err1 != nil || err2 != nil || from > to || byte(to) > highest {
			return l, fmt.Errorf("letter %c: %q is no range of hexadecimal values", symbol, part)
		}
		for v := int(from); v <= int(to); v++ {
			o := option{value: byte(v), all: byte(v) == highest}
			o.block = o.all && symbol != 'i'
			n := v
			if counted {
				n = start + len(l.options)
			}
			position := len(l.options)
			if symbol == 'p' && (position > 0 && l.options[0].value != 0 || position == 0 && v != 0) {
				position++ // there is no total
			}
			if err := o.describe(symbol, n, position, record); err != nil {
				return l, err
			}
			l.options = append(l.options, o)
			if l.index[v] != 0 || len(l.options) > 255 {
				return l, fmt.Errorf("letter %c: value %02X is listed twice", symbol, v)
			}
			l.index[v] = uint8(len(l.options))
		}
	}
	return l, nil
}

// describe fills in what stands for the option in names and texts. n is the number to show,
// position that in the list (of phases: 1 for A).
func (o *option) describe(symbol byte, n, position int, record []field) error {
	switch symbol {
	case 't':
		o.name, o.en, o.zh = fmt.Sprintf("_t%d", n), fmt.Sprintf(", tariff %d", n), fmt.Sprintf("费率%d", n)
		if n == 0 {
			o.name, o.en, o.zh = "", "", "总"
		}
	case 'h':
		o.name, o.en, o.zh = fmt.Sprintf("_h%d", position), fmt.Sprintf(", settlement %d back", position), fmt.Sprintf("(上%d结算日)", position)
		if position == 0 {
			o.name, o.en, o.zh = "", "", ""
		}
	case 'p':
		switch {
		case o.block:
		case position == 0:
			o.zh = "总"
		case position <= len(phases):
			phase := phases[position-1 : position]
			o.name, o.en, o.zh = "_"+strings.ToLower(phase), ", phase "+phase, phase+"相"
		default:
			return fmt.Errorf("letter p: %02X would be a fourth phase", o.value)
		}
	case 'r':
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(", record %d", n), fmt.Sprintf("(上%d次)", n)
	case 'o':
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(", order %d", n), fmt.Sprintf("%d次", n)
	case 'c':
		occasion, ok := occasions[o.value]
		if !ok {
			return fmt.Errorf("letter c: %02X is no occasion of a freeze", o.value)
		}
		*o = option{value: o.value, name: occasion[0], en: strings.ReplaceAll(occasion[0], "_", " "), zh: occasion[1]}
	case 'i':
		if o.all {
			return nil
		}
		if position >= len(record) {
			return fmt.Errorf("letter i: the record has %d fields, and this is another", len(record))
		}
		f := record[position]
		o.name, o.en, o.zh = "_"+f.key, ", "+f.en, f.zh
	default:
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(" %d", n), strconv.Itoa(n)
	}
	if o.block {
		o.describeBlock(symbol)
	}
	return nil
}

// describeBlock is describe for the option that stands for all.
func (o *option) describeBlock(symbol byte) {
	o.name, o.en, o.zh = "_block", ", all", "全部"
	switch symbol {
	case 't':
		o.en, o.zh = ", total and tariffs", "总及各费率"
	case 'h':
		o.name, o.en, o.zh = "_history", ", current and settlements back", "(当前及历次结算日)"
	case 'p':
		o.en, o.zh = ", all phases", "各相"
	case 'r':
		o.name, o.en, o.zh = "_history", ", all records", "(历次)"
	}
}

// occasions are the freezes by DI2: as a word of names, and in Chinese.
var occasions = map[byte][2]string{
	0x00: {"timed", "定时"},
	0x01: {"instantaneous", "瞬时"},
	0x02: {"year_zone_switch", "两套时区表切换"},
	0x03: {"day_period_switch", "两套日时段表切换"},
	0x04: {"hourly", "整点"},
	0x05: {"tariff_price_switch", "两套费率电价切换"},
	0x06: {"daily", "日"},
	0x07: {"ladder_switch", "两套阶梯切换"},
	0x0A: {"ladder_zone_switch", "两套阶梯时区切换"},
	0x0C: {"monthly", "月"},
}
