package dlt698

import (
	"fmt"
	"strconv"
	"strings"
)

// A letter is a running part of the items of a family: of the object, or what the index of an
// attribute runs over, 1 being its first value. What it means follows from its symbol:
//
//	t  tariff; 0 is the total       _t1
//	p  phase; 0 is the total        _a
//	r  record; 1 is the latest      _1
//	o  order of a harmonic; 0: all  _3
//	n  a plain number               _1
type letter struct {
	symbol  byte
	options []option
}

// An option is one value of a letter, and what stands for it in names and texts.
type option struct {
	value        int
	name, en, zh string
}

// parseLetters reads the values of letters, such as "p=1..3 t=0..63" or "o=0,2..63".
func parseLetters(ranges string) (letters []letter, err error) {
	for part := range strings.FieldsSeq(ranges) {
		symbol, list, ok := strings.Cut(part, "=")
		if !ok || len(symbol) != 1 {
			return nil, fmt.Errorf("%q is no range", part)
		}
		l := letter{symbol: symbol[0]}
		for values := range strings.SplitSeq(list, ",") {
			low, high, isRange := strings.Cut(values, "..")
			if !isRange {
				high = low
			}
			from, err1 := strconv.Atoi(low)
			to, err2 := strconv.Atoi(high)
			if err1 != nil || err2 != nil || from > to {
				return nil, fmt.Errorf("%q is no range of numbers", values)
			}
			for n := from; n <= to; n++ {
				if err := l.add(n); err != nil {
					return nil, err
				}
			}
		}
		letters = append(letters, l)
	}
	return letters, nil
}

// add adds a value. Phases count from the first of the list, since the attributes that stand for
// them begin with other numbers than 1.
func (l *letter) add(n int) error {
	o := option{value: n}
	switch l.symbol {
	case 't':
		o.name, o.en, o.zh = fmt.Sprintf("_t%d", n), fmt.Sprintf(", tariff %d", n), fmt.Sprintf("费率%d", n)
		if n == 0 {
			o.name, o.en, o.zh = "", "", "总"
		}
	case 'p':
		nth := len(l.options)
		if n == 0 || nth > 0 && l.options[0].value == 0 {
			nth--
		}
		switch {
		case nth < 0:
			o.zh = "总"
		case nth < len(phases):
			phase := phases[nth : nth+1]
			o.name, o.en, o.zh = "_"+strings.ToLower(phase), ", phase "+phase, phase+"相"
		default:
			return fmt.Errorf("%d would be a fourth phase", n)
		}
	case 'r':
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(", record %d", n), fmt.Sprintf("(上%d次)", n)
	case 'o':
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(", order %d", n), fmt.Sprintf("%d次", n)
		if n == 0 {
			o.name, o.en, o.zh = "_total", ", total", "总"
		}
	default:
		o.name, o.en, o.zh = fmt.Sprintf("_%d", n), fmt.Sprintf(" %d", n), strconv.Itoa(n)
	}
	l.options = append(l.options, o)
	return nil
}

const phases = "ABC"

// option returns what an index stands for; nil if it stands for nothing.
func (l *letter) option(index byte) *option {
	if index == 0 || int(index) > len(l.options) {
		return nil
	}
	return &l.options[index-1]
}

// index returns which index a part of a name stands for.
func (l *letter) index(name string) (index byte, ok bool) {
	for i := range l.options {
		if l.options[i].name == name {
			return byte(i + 1), true
		}
	}
	return 0, false
}

// all says of a block what it is.
func (l *letter) all() (en, zh string) {
	switch l.symbol {
	case 't':
		return ", total and tariffs", "总及各费率"
	case 'p':
		return ", all phases", "各相"
	}
	return ", all", "全部"
}
