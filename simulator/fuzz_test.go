package simulator

import (
	"net/url"
	"testing"
)

// FuzzOpen makes meters out of any parameters. What is taken has meters, and they answer.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"meters=3&baud=9600&turnaround=35ms&fe=2&seed=9&fault=late:0.05,flip:0.01&passwords=02123456&lock=3&lacks=0400010C,0201FF00&counting=true&longest=64",
		"addresses=1,2@1997,AAAAAAAAAAAA", "meters=-1", "fault=all:1e9", "baud=0", "turnaround=-1s", "protocol=1997",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		parameters, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		line, err := Open(parameters)
		if err != nil {
			return
		}
		if meters := line.Meters(); len(meters) == 0 || len(meters) > 1000 {
			t.Errorf("%q: %d meters", query, len(meters))
		}
		m := line.Meters()[0]
		answer, ok := m.Answer(readFrame(t, m.Address(), diTime), noon)
		if ok && !answer.Control.FromMeter() {
			t.Errorf("%q: meter %s answers %+v", query, m.Address(), answer)
		}
	})
}
