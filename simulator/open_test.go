package simulator

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func TestOpen(t *testing.T) {
	line, err := Open(url.Values{
		"meters": {"3"}, "baud": {"9600"}, "turnaround": {"35ms"}, "fe": {"2"}, "seed": {"9"}, "fault": {"late:0.05,flip:0.01"},
		"passwords": {"02123456"}, "lock": {"3"}, "lacks": {"0400010C,0201FF00"}, "counting": {"true"}, "longest": {"64"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := line.options
	if o.Baud != 9600 || o.Turnaround != 35*time.Millisecond || o.WakeUp != 2 || o.Seed != 9 || len(o.Faults) != 2 || o.Faults[FaultLate] != 0.05 {
		t.Errorf("options %+v", o)
	}
	if got := line.Meters(); len(got) != 3 || got[2].Address() != "000000000003" || got[0].phases != 3 || got[1].phases != 1 {
		t.Errorf("meters %v", got)
	}
	m := line.Meters()[0]
	if got := m.passwords[2]; got != [3]byte{0x56, 0x34, 0x12} {
		t.Errorf("password % X, want 56 34 12", got)
	}
	if m.lockAfter != 3 || !m.counting || m.longest != 64 || m.Version() != dlt645.V2007 {
		t.Errorf("meter %+v", m)
	}
	for _, d := range []dlt645.DI{diDateTime, 0x0201FF00} {
		if b, ok := m.Read(d, noon); ok {
			t.Errorf("the meter has %08X: % X", uint32(d), b)
		}
	}
	if _, ok := m.Read(0x02010100, noon); !ok {
		t.Error("without the block the meter has no voltage at all")
	}
	fed := number(t, mustRead(t, line.Meters()[2], 0x00020000, noon))
	if other := number(t, mustRead(t, m, 0x00020000, noon)); fed == 0 || other != 0 {
		t.Errorf("reverse energy of the third meter %d, of the first %d", fed, other)
	}

	for _, test := range []struct {
		parameters url.Values
		want       string
	}{
		{url.Values{"metres": {"3"}}, `no parameter "metres"`},
		{url.Values{"meters": {"0"}}, "from 1 to 1000"},
		{url.Values{"baud": {"fast"}}, "whole number"},
		{url.Values{"turnaround": {"20"}}, "with its unit"},
		{url.Values{"fault": {"lat:0.05"}}, "noreply, late, flip"},
		{url.Values{"fault": {"late:5"}}, "from 0 to 1"},
		{url.Values{"fault": {"late"}}, "no probability"},
		{url.Values{"passwords": {"secret"}}, "two digits for the level"},
		{url.Values{"protocol": {"2013"}}, "write 2007 or 1997"},
		{url.Values{"addresses": {"12@13"}}, "write 2007 or 1997"},
		{url.Values{"addresses": {"12@188?type=50"}}, "a type is two hex digits"},
		{url.Values{"addresses": {"12?type=20"}}, `no parameter "type"`},
		{url.Values{"addresses": {"12,000000000012"}}, "two meters 000000000012"},
		{url.Values{"addresses": {"1x"}}, `"1x"`},
		{url.Values{"lacks": {"040"}}, "8 hex digits"},
		{url.Values{"counting": {"yes"}}, "true or false"},
		{url.Values{"longest": {"20"}}, "from 64 to 200"},
	} {
		if _, err := Open(test.parameters); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open(%v): error %v, want one with %q", test.parameters, err, test.want)
		}
	}
}

func TestOpenMixesEditions(t *testing.T) {
	for _, test := range []struct {
		parameters url.Values
		want       []string
	}{
		{url.Values{"meters": {"2"}, "protocol": {"1997"}}, []string{"000000000001@1997", "000000000002@1997"}},
		{url.Values{"meters": {"3"}, "protocol": {"2007,1997"}}, []string{"000000000001@2007", "000000000002@1997", "000000000003@2007"}},
		{url.Values{"addresses": {"112233445566,1234@1997,7"}}, []string{"112233445566@2007", "AAAAAAAA1234@1997", "000000000007@2007"}},
	} {
		line, err := Open(test.parameters)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range line.Meters() {
			got = append(got, m.Address()+"@"+m.Version().String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Open(%v) has the meters %v, want %v", test.parameters, got, test.want)
		}
	}
}

// TestOpenByType makes meters of CJ/T 188 that measure what their addresses say, at a speed of their own or not.
func TestOpenByType(t *testing.T) {
	line, err := Open(url.Values{"addresses": {"1@188?type=20,2@188,3@188?type=11&baud=9600,4@188?baud=1200"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range line.Devices() {
		m, ok := d.(*Meter188)
		if !ok {
			t.Fatalf("%s is no meter of CJ/T 188", d.Address())
		}
		got = append(got, fmt.Sprintf("%v at %d", m.Type(), m.options.Mode.Baud))
	}
	if want := []string{"20 at 0", "20 at 0", "11 at 9600", "10 at 1200"}; !slices.Equal(got, want) {
		t.Errorf("the meters are %q, want %q", got, want)
	}
}

// TestEditionsShareAWire asks meters of both editions at the same address, as a scan does.
func TestEditionsShareAWire(t *testing.T) {
	line, err := Open(url.Values{"meters": {"2"}, "protocol": {"2007,1997"}, "fe": {"0"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		request dlt645.Frame
		from    string
	}{
		{command(t, "AAAAAAAAAAAA", 0x11, di(diTime)), "000000000001"},
		{command(t, "AAAAAAAAAAAA", 0x13), "000000000001"},
		{command(t, "AAAAAAAAAAAA", 0x01, di(diTime1997)), "000000000002"},
		{command(t, "999999999999", 0x01, di(diTime1997)), "000000000002"},
	} {
		frame, err := dlt645.ParseFrame(line.Answer(encode(t, test.request), noon))
		if err != nil || frame.Address.String() != test.from {
			t.Errorf("%s is answered by %s, %v; want %s alone", test.request.Control, frame.Address, err, test.from)
		}
	}
}
