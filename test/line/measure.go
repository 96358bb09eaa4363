package line

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// A Measure is one row of a table: a figure of ours, what the wire or the other side of the
// comparison has in the same run, and the ratio that is to be reached.
type Measure struct {
	What, Where  string
	Ours, Theirs string
	Ratio        string
	Reach        string
	Missed       bool
}

// PrintMeasures prints a table.
func PrintMeasures(table []Measure) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tLINE\tOURS\tAGAINST\tRATIO\tTO REACH\t")
	for _, row := range table {
		verdict := ""
		if row.Missed {
			verdict = "missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.What, row.Where, row.Ours, row.Theirs, row.Ratio, row.Reach, verdict)
	}
	_ = w.Flush()
}

// Seconds rounds for people.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
