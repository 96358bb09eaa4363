package uplink

import (
	"errors"
	"fmt"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// readTable reads a CSV file whose first line names the columns; the needed ones must be there, and have something in
// each row. The error has all complaints, with their lines. UTF-8 and GB18030 are understood.
func readTable(data []byte, columns []string, needed ...string) ([]protocol.SheetRow, error) {
	text, err := points.Decode(data)
	if err != nil {
		return nil, err
	}
	rows, problems := protocol.Sheet{Columns: columns, Needed: needed}.Read(text)
	var complaints []error
	for _, p := range problems {
		if p.Line == 0 {
			complaints = append(complaints, errors.New(p.Message))
			continue
		}
		complaints = append(complaints, fmt.Errorf("line %d: %s", p.Line, p.Message))
	}
	for _, row := range rows {
		for _, name := range needed {
			if row.Cells[name] == "" {
				complaints = append(complaints, fmt.Errorf("line %d: the column %s is empty", row.Line, name))
			}
		}
	}
	return rows, errors.Join(complaints...)
}
