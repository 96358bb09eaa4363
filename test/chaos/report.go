//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// mostShown bounds what is printed of each kind of finding.
const mostShown = 10

// report prints what was found, and a table of it all.
func (c *chaos) report(out io.Writer, v *verdict) {
	for _, found := range []struct {
		what string
		list []string
	}{{"wrong", v.wrong}, {"lost", v.lost}, {"doubled", v.doubled}, {"carried out too often", v.twice}, {"not as the meter did", v.denied}} {
		for _, text := range found.list[:min(len(found.list), mostShown)] {
			fmt.Fprintf(out, "\n%s: %s", found.what, text)
		}
	}
	fmt.Fprint(out, "\n| what | |\n| --- | --- |\n")
	row := func(what string, value any) { fmt.Fprintf(out, "| %s | %v |\n", what, value) }
	row("seed, duration", fmt.Sprintf("%d, %s", c.seed, c.duration))
	counted := c.counted
	for _, what := range slices.Sorted(maps.Keys(counted)) {
		row(what, counted[what])
	}
	exchanges := 0
	for _, s := range c.sites {
		for _, n := range s.exchanges() {
			exchanges += n
		}
	}
	row("exchanges that the meters answered", exchanges)
	row("messages that clients published", v.messages)
	row("messages that reached a bridge", v.delivered)
	row("messages that a bridge acknowledged", v.taken)
	row("messages of floods of QoS 0 that reached a bridge", c.ledger.flood)
	row("replies", v.replies)
	row("replies that reached their client", v.heard)
	row("published states of meters", c.ledger.states)
	row("values compared", c.ledger.values)
	row("commands that meters carried out", len(c.ledger.deeds))
	row("**wrong values and replies**", len(v.wrong))
	row("**lost replies**", len(v.lost))
	row("**doubled replies**", len(v.doubled))
	row("**commands carried out too often**", len(v.twice))
	row("**replies that deny or claim what a meter did**", len(v.denied))
	row("values that the line forged, checksum and all", c.ledger.forged)
	row("messages that found no bridge or no broker", v.unreached)
	row("messages on their way to a bridge when the way went", v.cut)
	row("messages with a bridge when it was killed", v.died)
	row("messages with a bridge when it was stopped while the broker was away", v.stopped)
	row("replies sent again, since the connection went before their acknowledgement", v.again)
	row("replies lost with the broker, or while the client was away", v.unheard)
	row("longest wait for a reply", v.longest.Round(100*time.Millisecond))
	row("longest wait for a reply while broker, bridge and way were undisturbed", v.longestCalm.Round(100*time.Millisecond))
	for _, s := range c.sites {
		row("longest time without any reply, "+s.name, c.ledger.silence[s].longest.Round(100*time.Millisecond))
		most := sample{}
		for _, sample := range s.samples {
			most.goroutines = max(most.goroutines, sample.goroutines)
			most.resident = max(most.resident, sample.resident)
			most.age = max(most.age, sample.age)
		}
		row("lives of the bridge of "+s.name+", longest", fmt.Sprintf("%d, %s", s.runs, most.age.Round(time.Second)))
		row("goroutines of the bridge of "+s.name+": idle before, most, idle after", fmt.Sprintf("%d, %d, %d", c.idle[s].goroutines, most.goroutines, c.after[s].goroutines))
		row("its resident memory", fmt.Sprintf("%s, %s, %s", mebibytes(c.idle[s].resident), mebibytes(most.resident), mebibytes(c.after[s].resident)))
	}
	outcomes := c.ledger.outcomes()
	var list []string
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		list = append(list, fmt.Sprintf("%s %d", outcome, outcomes[outcome]))
	}
	row("replies by verb and outcome", strings.Join(list, ", "))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
