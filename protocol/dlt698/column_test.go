package dlt698

import "testing"

// TestOtherColumnsOfAll finds another way to ask for every attribute that a freeze may have, and for each of its elements.
func TestOtherColumnsOfAll(t *testing.T) {
	p := &reader{}
	null := &Entry{Columns: make([]CSD, 1), Cells: []Data{{Tag: Null}}}
	for _, a := range Items().attributes {
		for item := range Items().all(a) {
			if !item.mayFreeze() || !item.isElement() && !item.isWhole() {
				continue
			}
			columns, learned := p.otherwise(0x50040200, []Item{item}, []Item{item}, null)
			if learned == nil || len(columns) == 0 || len(columns) > mostApart || columns[0].OAD == item.OAD || columns[0].OAD.whole() != item.OAD.whole() {
				t.Errorf("%s: %v", item.Name, oadsOf(columns))
			}
		}
	}
}
