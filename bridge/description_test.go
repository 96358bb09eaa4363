package bridge

import (
	"strings"
	"testing"
)

// TestDescription describes what is in a point table: the items of each meter, and what it may be told to do.
func TestDescription(t *testing.T) {
	s := newStage(t, func(c *Config) {
		c.Meters[0].DisplayName = "总表"
		c.Allow = map[string]bool{verbRead: true, verbRelay: true}
		c.Points = parseTable(t, c, "meter,item,interval,min,max,name\nmain,voltage_a,10s,207.0,253.0,mains\nmain,energy,15m,,,\n")
	})
	payload, err := s.keeper.Description(s.keeper.Table())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"meters":[{"name":"main","display_name":"总表","address":"000000000001","protocol":"parrot","retain":true,"commands":["relay"],"items":[`,
		`{"item":"voltage_a","form":"number","unit":"V","decimals":2,"name":"mains","interval_s":10,"min":207.0,"max":253.0}`,
		`{"item":"energy","form":"number","unit":"V","decimals":2,"counter":true,"interval_s":900}`,
	} {
		if !strings.Contains(string(payload), want) {
			t.Errorf("no %s in %s", want, payload)
		}
	}
	if m := s.info().Meters; m[0].DisplayName != "总表" || m[1].DisplayName != "" {
		t.Errorf("bridge/info calls the meters %q and %q", m[0].DisplayName, m[1].DisplayName)
	}
	s.keeper.SetTable(nil)
	if payload, err := s.keeper.Description(s.keeper.Table()); err != nil || string(payload) != `{"meters":[]}` {
		t.Errorf("without points: %s (%v)", payload, err)
	}
}
