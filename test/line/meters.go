package line

import (
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/simulator"
)

// Simulated makes meters of the 2007 edition with these addresses.
func Simulated(t testing.TB, addresses ...string) []*simulator.Meter {
	t.Helper()
	var meters []*simulator.Meter
	for _, address := range addresses {
		m, err := simulator.NewMeter(simulator.MeterOptions{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		meters = append(meters, m)
	}
	return meters
}

// AddressOf is an address known to be good.
func AddressOf(p protocol.Protocol, text string) protocol.Address {
	address, err := p.ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return address
}
