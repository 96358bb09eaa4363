package simulator

import (
	"net/url"
	"testing"

	"dlt645-mqtt/protocol/dlt645"
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

// FuzzAnswer sends any function with any data to a meter of each edition.
func FuzzAnswer(f *testing.F) {
	f.Add(byte(0x11), []byte{0, 0, 1, 0})
	f.Add(byte(0x11), []byte{1, 0, 0, 6, 0x99, 0x00, 0x12, 0x01, 0x11, 0x26})
	f.Add(byte(0x12), []byte{1, 2, 0x30, 3, 1})
	f.Add(byte(0x14), []byte{2, 1, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0x45, 0x30, 0x18})
	f.Add(byte(0x14), append([]byte{0xFF, 1, 5, 4, 4, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 16)...))
	f.Add(byte(0x16), []byte{0x00, 0x00, 0x31, 0x99})
	f.Add(byte(0x18), []byte{3, 0x0C, 0, 4, 2, 0, 0, 0, 2, 1, 1, 1})
	f.Add(byte(0x1B), []byte{2, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0x30, 3})
	f.Add(byte(0x1C), append([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0x1A, 0}, appendSecond(nil, noon)...))
	f.Add(byte(0x08), appendSecond(nil, noon))
	f.Add(byte(0x01), []byte{0xFF, 0xB6})
	f.Add(byte(0x03), []byte{})
	f.Add(byte(0x04), []byte{0x1F, 0xC0, 4, 0, 0, 0, 5, 0x20, 0x11, 0x26, 0, 0, 0x12})
	f.Add(byte(0x0F), []byte{4, 0, 0, 0, 4, 1, 1, 1})
	f.Fuzz(func(t *testing.T, control byte, data []byte) {
		for _, o := range []MeterOptions{{Address: "1", Counting: true}, {Address: "1", Version: dlt645.V1997, OnePhase: true, Longest: leastData}} {
			m, err := NewMeter(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range []dlt645.Address{m.address, dlt645.Broadcast, dlt645.Anyone} {
				request := dlt645.Frame{Address: to, Control: dlt645.Control(control), Data: data}
				answer, ok := m.Answer(request, noon)
				if !ok {
					continue
				}
				if !answer.Control.FromMeter() || answer.Control.Function() != request.Control.Function() || len(answer.Data) > m.longest {
					t.Errorf("%s % X is answered with %+v", request.Control, data, answer)
				}
				// Whatever was written, all can still be read.
				for _, d := range []dlt645.DI{0x0001FF00, 0x0101FF00, 0x02800004, 0x040005FF, 0x040501FF, 0x0500FF01, 0x0506FF01, 0x0504FF01, 0x06000002, 0x9010, 0xC33F} {
					m.Read(d, noon)
				}
			}
		}
	})
}
