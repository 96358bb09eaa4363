package simulator

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func TestFeeding(t *testing.T) {
	m := newMeter(t, MeterOptions{Feeding: true})
	at := noon.Add(30 * time.Minute)
	forward, reverse := number(t, mustRead(t, m, 0x00010000, at)), number(t, mustRead(t, m, 0x00020000, at))
	if reverse == 0 || reverse > forward/5 {
		t.Errorf("reverse energy %d, forward %d: want a little", reverse, forward)
	}
	if got := number(t, mustRead(t, m, 0x00000000, at)); got != forward+reverse {
		t.Errorf("combined energy %d, want the sum of %d and %d", got, forward, reverse)
	}
	if answer, _ := m.Answer(command(t, "1", 0x14, di(diActiveWord), level04, operator, []byte{0x09}), at); answer.Control != 0x94 { // forward less reverse
		t.Fatal(answer.Control)
	}
	if got := signed(t, mustRead(t, m, 0x00000000, at)); got != forward-reverse {
		t.Errorf("combined energy %d, want the difference of %d and %d", got, forward, reverse)
	}
	for _, d := range []dlt645.DI{0x02030000, 0x02030200, 0x02050000, 0x02020300, 0x02060000, 0x02800003, 0x02800004} {
		if got := signed(t, mustRead(t, m, d, at)); got >= 0 {
			t.Errorf("%08X is %d while power flows back, want it below zero", uint32(d), got)
		}
		if got := signed(t, mustRead(t, m, d, at.Add(8*time.Hour))); got <= 0 {
			t.Errorf("%08X is %d in the evening", uint32(d), got)
		}
	}
	for d, bits := range map[dlt645.DI]byte{0x04000501: 1 << 4, 0x04000502: 7, 0x04000504: 1 << 6} {
		if got := mustRead(t, m, d, at)[0]; got&bits != bits {
			t.Errorf("status word %08X begins with %08b, want %08b in it", uint32(d), got, bits)
		}
	}
	if got := number(t, mustRead(t, m, 0x01020000, at)[:3]); got == 0 {
		t.Error("no reverse demand")
	}
	if got := number(t, mustRead(t, newMeter(t, MeterOptions{}), 0x00020000, at)); got != 0 {
		t.Errorf("a meter that does not feed has counted %d", got)
	}
}
