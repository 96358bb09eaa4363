package dlt645

import "testing"

func TestControl(t *testing.T) {
	for _, test := range []struct {
		control                  Control
		text                     string
		function                 Function
		fromMeter, refused, more bool
	}{
		{0x11, "11", FunctionRead, false, false, false},
		{0x91, "91", FunctionRead, true, false, false},
		{0xB1, "B1", FunctionRead, true, false, true},
		{0xD1, "D1", FunctionRead, true, true, false},
		{0x9C, "9C", FunctionRelay, true, false, false},
		{0x81, "81", FunctionRead1997, true, false, false},
		{0x08, "08", FunctionBroadcastTime, false, false, false},
	} {
		c := test.control
		if c.String() != test.text || c.Function() != test.function || c.FromMeter() != test.fromMeter || c.Refused() != test.refused || c.More() != test.more {
			t.Errorf("%02X: got %s, function %02X, from meter %t, refused %t, more %t, want %+v",
				byte(c), c, byte(c.Function()), c.FromMeter(), c.Refused(), c.More(), test)
		}
	}
}

func TestFunctionName(t *testing.T) {
	for _, test := range []struct {
		function       Function
		in2007, in1997 string
		version        Version
	}{
		{0x01, "unknown", "read", V1997},
		{0x02, "unknown", "read_follow_up", V1997},
		{0x03, "authenticate", "read_again", V2007},
		{0x04, "unknown", "write", V1997},
		{0x08, "broadcast_time", "broadcast_time", V2007},
		{0x0A, "unknown", "write_address", V1997},
		{0x0C, "unknown", "set_baud", V1997},
		{0x0F, "unknown", "set_password", V1997},
		{0x10, "unknown", "clear_demand", V1997},
		{0x11, "read", "unknown", V2007},
		{0x12, "read_follow_up", "unknown", V2007},
		{0x13, "read_address", "unknown", V2007},
		{0x14, "write", "unknown", V2007},
		{0x15, "write_address", "unknown", V2007},
		{0x16, "freeze", "unknown", V2007},
		{0x17, "set_baud", "unknown", V2007},
		{0x18, "set_password", "unknown", V2007},
		{0x19, "clear_demand", "unknown", V2007},
		{0x1A, "clear_meter", "unknown", V2007},
		{0x1B, "clear_events", "unknown", V2007},
		{0x1C, "relay", "unknown", V2007},
		{0x1D, "output", "unknown", V2007},
		{0x1F, "unknown", "unknown", V2007},
	} {
		if got := test.function.Name(V2007); got != test.in2007 {
			t.Errorf("function %02X of 2007 is %q, want %q", byte(test.function), got, test.in2007)
		}
		if got := test.function.Name(V1997); got != test.in1997 {
			t.Errorf("function %02X of 1997 is %q, want %q", byte(test.function), got, test.in1997)
		}
		if got := test.function.Version(); got != test.version {
			t.Errorf("function %02X belongs to %s, want %s", byte(test.function), got, test.version)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, v := range []Version{V2007, V1997} {
		if got, err := ParseVersion(v.String()); got != v || err != nil {
			t.Errorf("ParseVersion(%q) = %v, %v, want %v", v.String(), got, err, v)
		}
	}
	if v, err := ParseVersion("2009"); err == nil {
		t.Errorf("ParseVersion(2009) = %v, want an error", v)
	}
}
