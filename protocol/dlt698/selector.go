package dlt698

import "slices"

// A CSD names a column of a record: an attribute, or one with others that belong to it.
type CSD struct {
	OAD     OAD
	Related []OAD // of a column that is itself a record; nil where it is an attribute alone
}

// Columns returns the columns of these attributes.
func Columns(oads ...OAD) []CSD {
	columns := make([]CSD, len(oads))
	for i, oad := range oads {
		columns[i].OAD = oad
	}
	return columns
}

func sameColumns(a, b []CSD) bool {
	return slices.EqualFunc(a, b, func(a, b CSD) bool { return a.OAD == b.OAD && slices.Equal(a.Related, b.Related) })
}

func (r *cursor) road() CSD {
	c := CSD{OAD: r.oad("the OAD of a ROAD")}
	c.Related = make([]OAD, r.count(4, "related OAD"))
	for i := range c.Related {
		c.Related[i] = r.oad("a related OAD")
	}
	return c
}

func (r *cursor) csd() CSD {
	switch choice := r.byte("the choice of a column"); choice {
	case 0:
		return CSD{OAD: r.oad("a column")}
	case 1:
		return r.road()
	default:
		r.fail("choice %d of a column is neither OAD (0) nor ROAD (1)", choice)
	}
	return CSD{}
}

// rcsd reads a list of columns.
func (r *cursor) rcsd() []CSD {
	columns := make([]CSD, r.count(5, "columns"))
	for i := range columns {
		if columns[i] = r.csd(); r.err != nil {
			return nil
		}
	}
	return columns
}

func appendColumns(b []byte, columns []CSD) []byte {
	b = appendLength(b, len(columns))
	for _, c := range columns {
		if c.Related == nil {
			b = c.OAD.append(append(b, 0))
			continue
		}
		b = appendLength(c.OAD.append(append(b, 1)), len(c.Related))
		for _, related := range c.Related {
			b = related.append(b)
		}
	}
	return b
}

// The selectors of rows that meters know. Clause 7.3 of DL/T 698.45.
const (
	SelectNone  = 0 // all rows
	SelectValue = 1 // those whose column has a value
	SelectRange = 2 // those from a value on, up to but not including another
	SelectLast  = 9 // the n-th last row
)

// An RSD selects rows of a record.
type RSD struct {
	Selector byte
	OAD      OAD    // of SelectValue and SelectRange: the column
	Values   []Data // of SelectValue one; of SelectRange from, to and interval
	Last     byte   // of SelectLast: which, 1 for the latest
	Rest     []byte // of any other selector: what is behind its number, as it travels
}

func (r *cursor) rsd() RSD {
	s := RSD{Selector: r.byte("the selector of rows")}
	from := r.b
	switch s.Selector {
	case SelectNone:
	case SelectValue:
		s.OAD = r.oad("the column of a selector")
		s.Values = []Data{r.data()}
	case SelectRange:
		s.OAD = r.oad("the column of a selector")
		s.Values = []Data{r.data(), r.data(), r.data()}
	case SelectLast:
		s.Last = r.byte("the number of a selector")
	default:
		r.skipSelector(s.Selector)
		if r.err == nil {
			s.Rest = from[: len(from)-len(r.b) : len(from)-len(r.b)]
		}
	}
	return s
}

// skipSelector passes over what follows the numbers that concentrators have besides.
func (r *cursor) skipSelector(selector byte) {
	switch selector {
	case 3: // several ranges
		for range r.count(7, "ranges of a selector") {
			r.oad("the column of a selector")
			for range 3 {
				r.data()
			}
			if r.err != nil {
				return
			}
		}
	case 4, 5: // a time, and meters
		r.cut(7, "the time of a selector")
		r.meterSet()
	case 6, 7, 8: // from, to, interval, and meters
		r.cut(7+7+3, "the times of a selector")
		r.meterSet()
	case 10: // the last n rows of meters
		r.cut(1, "the number of a selector")
		r.meterSet()
	default:
		r.fail("there is no selector %d of rows", selector)
	}
}

func (s RSD) append(b []byte) []byte {
	b = append(b, s.Selector)
	switch s.Selector {
	case SelectNone:
	case SelectValue, SelectRange:
		b = s.OAD.append(b)
		for _, value := range s.Values {
			b = value.Append(b)
		}
	case SelectLast:
		b = append(b, s.Last)
	default:
		b = append(b, s.Rest...)
	}
	return b
}

// region passes over a range: its kind, and two values.
func (r *cursor) region() {
	r.byte("the kind of a region")
	r.data()
	r.data()
}

// meterSet passes over a set of meters, as concentrators know it.
func (r *cursor) meterSet() {
	switch choice := r.byte("the choice of meters"); choice {
	case 0, 1: // none, all
	case 2: // of these user types
		r.cut(r.count(1, "user types"), "user types")
	case 3: // of these addresses
		for range r.count(1, "addresses") {
			r.octets("an address")
		}
	case 4: // of these numbers
		r.cut(2*r.count(2, "meter numbers"), "meter numbers")
	case 5, 6, 7: // of these ranges of them
		for range r.count(3, "ranges of meters") {
			if r.region(); r.err != nil {
				return
			}
		}
	default:
		r.fail("there is no choice %d of meters", choice)
	}
}
