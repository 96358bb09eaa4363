package dlt698

import (
	"fmt"
	"slices"
)

// What is learned of the columns of a record: the names and values of [protocol.Result].
const (
	columnWhole = "whole" // the meter stores all of the attribute as one column
	columnApart = "apart" // it stores elements of it
	columnNone  = "none"  // it stores neither
)

// columnOf is the name under which it is kept for an attribute of a record.
func columnOf(record, column OAD) string {
	return fmt.Sprintf("column %s of %04X", column.whole(), record.OI())
}

// isElement reports whether the item is one element of an attribute that may be a column as a whole.
func (i Item) isElement() bool {
	return i.attribute != nil && i.attribute.layout == layoutValues && i.attribute.index != nil && i.OAD.Index() != 0
}

// isWhole reports whether the item is all of an attribute whose elements may be columns of their own.
func (i Item) isWhole() bool {
	return i.attribute != nil && i.attribute.layout == layoutValues && i.IsBlock()
}

// learnedColumn returns how the meter is known to store the attribute in a record.
func (p *reader) learnedColumn(record OAD, column Item) string {
	if p.known == nil {
		return ""
	}
	return p.known.Learned(columnOf(record, column.OAD))
}

// columns returns the columns to be asked for: all of an attribute in place of its elements where that is shorter, or where
// the meter is known to store it so.
func (p *reader) columns(record OAD, wanted []Item) (columns []Item) {
	for _, c := range wanted {
		whole := c.OAD.whole()
		switch {
		case slices.ContainsFunc(columns, func(other Item) bool { return other.OAD == whole || other.OAD == c.OAD }):
		case c.isElement() && p.isWholeColumn(record, c, wanted):
			columns = append(columns, mustLookup(whole))
		case c.isWhole() && p.learnedColumn(record, c) == columnApart:
			columns = append(columns, elementsOf(c, wanted)...)
		default:
			columns = append(columns, c)
		}
	}
	return columns
}

// isWholeColumn reports whether all of the attribute is to be asked for in place of the elements that are wanted of it.
func (p *reader) isWholeColumn(record OAD, element Item, wanted []Item) bool {
	switch p.learnedColumn(record, element) {
	case columnWhole:
		return true
	case columnApart:
		return false
	}
	whole := mustLookup(element.OAD.whole())
	size := 0
	for _, c := range wanted {
		if c.OAD == whole.OAD {
			return true // it is asked for anyway
		}
		if c.OAD.whole() == whole.OAD {
			size += entryHead + c.expected()
		}
	}
	return size > entryHead+whole.expected()
}

// otherwise returns the columns to be asked for once more where some came without a value in any row, though the meter may
// store them in the other way: all of an attribute in place of its elements, or elements of it. learned is what that
// teaches once it is answered, or refused (nil); without it there is nothing to be asked for.
func (p *reader) otherwise(record OAD, wanted, asked []Item, came *Entry) (columns []Item, learned func(*Entry) map[string]string) {
	ways := map[OAD]string{} // by attribute, as they are asked for now
	for i, c := range asked {
		whole := c.OAD.whole()
		switch {
		case ways[whole] == columnWhole: // it is among all of the attribute
		case came.Rows() == 0 || !isNull(came, i) || !c.isElement() && !c.isWhole() || p.learnedColumn(record, c) != "":
			columns = append(columns, c)
		case c.isElement():
			ways[whole] = columnWhole
			columns = append(columns, mustLookup(whole))
		default:
			ways[whole] = columnApart
			columns = append(columns, elementsOf(c, wanted)...)
		}
	}
	if len(ways) == 0 {
		return columns, nil
	}
	return columns, func(e *Entry) map[string]string {
		learned := map[string]string{}
		for whole, way := range ways {
			learned[columnOf(record, whole)] = columnNone
			for i, c := range columns {
				if e != nil && c.OAD.whole() == whole && !isNull(e, i) {
					learned[columnOf(record, whole)] = way
				}
			}
		}
		return learned
	}
}

// mostApart is how many elements are asked for one by one in place of all: those of the phases, and their total.
const mostApart = 4

// elementsOf returns the elements of an attribute that are wanted. If all are, these are the phases, and of tariffs the total.
func elementsOf(whole Item, wanted []Item) (elements []Item) {
	for _, c := range wanted {
		if c.OAD.whole() == whole.OAD && c.OAD != whole.OAD {
			elements = append(elements, c)
		}
	}
	if elements != nil {
		return elements
	}
	last := len(whole.attribute.index.options)
	if last > mostApart {
		last = 1
	}
	for index := 1; index <= last; index++ {
		if element, ok := Items().Lookup(whole.OAD.element(byte(index))); ok {
			elements = append(elements, element)
		}
	}
	return elements
}

// isNull reports whether a column has no value in any row.
func isNull(e *Entry, column int) bool {
	for i := range e.Rows() {
		if e.Row(i)[column].Tag != Null {
			return false
		}
	}
	return true
}
