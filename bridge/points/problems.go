package points

import (
	"fmt"
	"strings"
)

// A Problem is what is wrong with one cell of a table.
type Problem struct {
	Row     int    `json:"row"`              // line of the CSV, the header being 1; in JSON the number of the point, from 1; 0: the whole
	Column  string `json:"column,omitempty"` // as the header spells it; empty: the whole row
	Message string `json:"message"`
}

func (p Problem) String() string {
	switch {
	case p.Row == 0:
		return p.Message
	case p.Column == "":
		return fmt.Sprintf("row %d: %s", p.Row, p.Message)
	}
	return fmt.Sprintf("row %d, %s: %s", p.Row, p.Column, p.Message)
}

// Problems are all that is wrong with a table. They are an error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}
