package uplink

import (
	"testing"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

// TestPauses counts the attempts to connect within ten minutes, to a cloud that ends each connection at once: no
// two within five seconds, and few; fewer still where the identity is refused.
func TestPauses(t *testing.T) {
	for _, row := range []struct {
		refused bool
		most    int
	}{{false, 8}, {true, 7}} {
		attempts := 0
		for elapsed := time.Duration(0); elapsed < 10*time.Minute; {
			attempts++
			pause := pauseAfter(attempts, row.refused)
			if pause < backoffLeast || pause > backoffMost {
				t.Errorf("after %d failures (refused %v) it waits %s", attempts, row.refused, pause)
			}
			elapsed += pause
		}
		if attempts > row.most {
			t.Errorf("refused %v: %d attempts in ten minutes, want at most %d", row.refused, attempts, row.most)
		}
	}
}

// TestCommandIDs has one call come over two connections, and others that are not the same.
func TestCommandIDs(t *testing.T) {
	u := newTestUplink(t, nil)
	first, second := &session{start: time.UnixMilli(1000)}, &session{start: time.UnixMilli(2000)}
	call := dialect.Call{ID: "7", Device: "main", Expires: time.UnixMilli(1795168820000)}
	if a, b := u.calls.commandID(first, call), u.calls.commandID(second, call); a != b {
		t.Errorf("one call has the ids %s and %s", a, b)
	}
	other := call
	other.Device = "shop"
	later := call
	later.Expires = later.Expires.Add(time.Second)
	undated := dialect.Call{ID: "7", Device: "main"}
	seen := map[string]bool{u.calls.commandID(first, call): true}
	for _, id := range []string{u.calls.commandID(first, other), u.calls.commandID(first, later), u.calls.commandID(first, undated), u.calls.commandID(second, undated)} {
		if seen[id] {
			t.Errorf("two calls have the id %s", id)
		}
		seen[id] = true
	}
}

// TestPacers counts what may go in any second against what the platforms' documents allow.
func TestPacers(t *testing.T) {
	for cloud, most := range map[string]struct{ messages, bytes int }{
		"tencent": {30, 0}, "huawei": {50, 1_000_000}, "aliyun": {10, 0}, "onenet": {10, 0},
	} {
		d, err := dialect.New(cloud, dialect.Options{Product: "p", Device: "d", Secret: "AAAA"})
		if err != nil {
			t.Fatal(err)
		}
		traits := d.Traits()
		messages, bytes := pacers(traits)
		begin := time.Unix(1795168800, 0)
		inFirst, total, carried := 0, 0, 0
		for at := time.Duration(0); at < 10*time.Second; at += time.Millisecond {
			for messages.AllowN(begin.Add(at), 1) {
				total++
				if at < time.Second {
					inFirst++
				}
			}
			for most.bytes > 0 && at < time.Second && bytes.AllowN(begin.Add(at), traits.Bytes/4) {
				carried += traits.Bytes / 4
			}
		}
		if inFirst > most.messages || carried > most.bytes {
			t.Errorf("%s: %d messages and %d bytes go in a second, %d and %d may", cloud, inFirst, carried, most.messages, most.bytes)
		}
		if total < 9*traits.PerSecond {
			t.Errorf("%s: %d messages go in ten seconds, want %d", cloud, total, 10*traits.PerSecond)
		}
		if !bytes.AllowN(begin.Add(time.Hour), traits.Bytes) {
			t.Errorf("%s: the greatest message never goes", cloud)
		}
	}
}
