package line

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/modbus"
	"dlt645-mqtt/protocol/octet"
	"dlt645-mqtt/simulator"
)

// A said is what a device sends, so long after the last bit of a request.
type said struct {
	after time.Duration
	bytes []byte
}

// A hostilePort is a line at 9600 baud with one device on it that may answer anything.
type hostilePort struct {
	echo   bool // the line sends back what we send
	answer func(request []byte) []said

	mu     sync.Mutex
	closed bool
	coming []arriving // by time
	heard  [][]byte   // whole requests
}

// An arriving byte is there from a moment on.
type arriving struct {
	at time.Time
	b  byte
}

const hostileByte = 11 * time.Second / 9600

func (p *hostilePort) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.echo {
		p.say(now, b)
	}
	end := now.Add(time.Duration(len(b)) * hostileByte)
	request := octet.TrimWakeUp(b)
	p.heard = append(p.heard, bytes.Clone(request))
	for _, s := range p.answer(request) {
		p.say(end.Add(s.after), s.bytes)
	}
	return len(b), nil
}

func (p *hostilePort) say(from time.Time, b []byte) {
	for i, c := range b {
		p.coming = append(p.coming, arriving{from.Add(time.Duration(i+1) * hostileByte), c})
	}
	slices.SortStableFunc(p.coming, func(a, b arriving) int { return a.at.Compare(b.at) })
}

func (p *hostilePort) Read(b []byte, wait time.Duration) (n int, err error) {
	until := time.Now().Add(wait)
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return 0, os.ErrClosed
		}
		now := time.Now()
		for n < len(b) && len(p.coming) > 0 && !p.coming[0].at.After(now) {
			b[n] = p.coming[0].b
			p.coming = p.coming[1:]
			n++
		}
		next := until
		if len(p.coming) > 0 && p.coming[0].at.Before(next) {
			next = p.coming[0].at
		}
		p.mu.Unlock()
		if n > 0 || !now.Before(until) {
			return n, nil
		}
		<-time.After(time.Until(next))
	}
}

func (p *hostilePort) Tune(protocol.Mode) error { return nil }

func (p *hostilePort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// hostileSite is a bridge on such a line, with one meter of this name.
func hostileSite(t *testing.T, p *hostilePort, spoken protocol.Protocol, name, address string) *Setup {
	t.Helper()
	site := NewSite(t, simulator.BusOptions{Baud: 9600}, func(_ *simulator.Bus, c *bus.Config) {
		c.Open = func(context.Context) (bus.Port, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.closed = false
			return p, nil
		}
		c.Modes = true
	})
	site.Stop()
	site.Meters = []meters.Meter{{Name: name, Address: AddressOf(spoken, address), Protocol: spoken}}
	site.Start(t)
	return site
}

// A hostileReply is what a command came to.
type hostileReply struct {
	OK           bool
	Result       string
	Relay, Valve string
	Pending      bool
	Reasons      []string
	Message      string
	Error        *struct{ Code, Message string }
}

func (r hostileReply) String() string {
	return fmt.Sprintf("ok %t, %s %s%s, pending %t, %v, %q, %+v", r.OK, r.Result, r.Relay, r.Valve, r.Pending, r.Reasons, r.Message, r.Error)
}

func askHostile(t *testing.T, s *Setup, topic, body string) (r hostileReply) {
	t.Helper()
	if err := json.Unmarshal(s.Ask(topic, []byte(body)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// sound returns a frame of Modbus.
func sound(address byte, function modbus.Function, data ...byte) []byte {
	b, err := modbus.Frame{Address: address, Function: function, Data: data}.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// TestRelayAgainstHostileSlaves gives the relay of a Modbus slave a command, by a coil and by registers, and has the slave answer
// in every way that it should not. The command goes out once, and the reply claims no more than what the slave has said.
func TestRelayAgainstHostileSlaves(t *testing.T) {
	for _, row := range []string{"relay_open,coil,5,bool,,,,,,,RW,relay", "relay_open,holding,5,u16,,,,,,,RW,relay", "relay_open,holding,5,u16,,,,,,,RW06,relay"} {
		table := "item,area,register,type,order,scale,offset,unit,ratio,invalid,access,role\n" + row + "\n"
		model, err := modbus.ParseMap("own", table)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name    string
			echo    bool
			done    bool // the slave carries the command out
			lies    bool // when it is read
			writing func(request, right []byte) []said
			want    hostileReply
		}{
			{name: "right", done: true, writing: func(_, right []byte) []said { return []said{{20 * time.Millisecond, right}} },
				want: hostileReply{OK: true, Result: "verified", Relay: "open"}},
			{name: "right, on a line with an echo", echo: true, done: true, writing: func(_, right []byte) []said { return []said{{20 * time.Millisecond, right}} },
				want: hostileReply{OK: true, Result: "verified", Relay: "open"}},
			{name: "silent", writing: func(_, _ []byte) []said { return nil },
				want: hostileReply{Result: "unknown", Relay: "closed"}},
			{name: "silent, on a line with an echo", echo: true, writing: func(_, _ []byte) []said { return nil },
				want: hostileReply{Result: "unknown", Relay: "closed"}},
			{name: "silent, but carried out", done: true, writing: func(_, _ []byte) []said { return nil },
				want: hostileReply{Result: "unknown", Relay: "open"}},
			{name: "silent, but carried out, on a line with an echo", echo: true, done: true, writing: func(_, _ []byte) []said { return nil },
				want: hostileReply{Result: "unknown", Relay: "open"}},
			{name: "another value comes back", done: true, writing: func(_, right []byte) []said {
				other := bytes.Clone(right[:6])
				other[4] ^= 0xFF
				return []said{{20 * time.Millisecond, sound(other[0], modbus.Function(other[1]), other[2:]...)}}
			}, want: hostileReply{Result: "unknown", Relay: "open"}},
			{name: "another register comes back", writing: func(_, right []byte) []said {
				other := bytes.Clone(right[:6])
				other[3]++
				return []said{{20 * time.Millisecond, sound(other[0], modbus.Function(other[1]), other[2:]...)}}
			}, want: hostileReply{Result: "unknown", Relay: "closed"}},
			{name: "another slave answers", writing: func(_, right []byte) []said {
				return []said{{20 * time.Millisecond, sound(right[0]+1, modbus.Function(right[1]), right[2:6]...)}}
			}, want: hostileReply{Result: "unknown", Relay: "closed"}},
			{name: "too late", done: true, writing: func(_, right []byte) []said { return []said{{3 * time.Second, right}} },
				want: hostileReply{Result: "unknown", Relay: "open"}},
			{name: "twice", done: true, writing: func(_, right []byte) []said {
				return []said{{20 * time.Millisecond, right}, {120 * time.Millisecond, right}}
			}, want: hostileReply{OK: true, Result: "verified", Relay: "open"}},
			{name: "an exception after carrying out", done: true, writing: func(request, _ []byte) []said {
				return []said{{20 * time.Millisecond, sound(request[0], modbus.Function(request[1])|0x80, 4)}}
			}, want: hostileReply{Result: "refused", Reasons: []string{"device_failure"}}},
			{name: "an exception that says it takes long", done: true, writing: func(request, _ []byte) []said {
				return []said{{20 * time.Millisecond, sound(request[0], modbus.Function(request[1])|0x80, 5)}}
			}, want: hostileReply{OK: true, Result: "verified", Relay: "open"}},
			{name: "a gateway that lost the answer", done: true, writing: func(request, _ []byte) []said {
				return []said{{20 * time.Millisecond, sound(request[0], modbus.Function(request[1])|0x80, 11)}}
			}, want: hostileReply{Result: "unknown", Relay: "open"}},
			{name: "an exception behind the answer", done: true, writing: func(request, right []byte) []said {
				return []said{{20 * time.Millisecond, slices.Concat(right, sound(request[0], modbus.Function(request[1])|0x80, 4))}}
			}, want: hostileReply{OK: true, Result: "verified", Relay: "open"}},
			{name: "the answer, and nothing done", writing: func(_, right []byte) []said { return []said{{20 * time.Millisecond, right}} },
				want: hostileReply{Result: "acknowledged", Relay: "closed", Pending: true}},
			{name: "done, and a lie about it", done: true, lies: true, writing: func(_, right []byte) []said { return []said{{20 * time.Millisecond, right}} },
				want: hostileReply{Result: "acknowledged", Relay: "closed", Pending: true}},
		} {
			t.Run(test.name+" "+row[11:22], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					open := false
					var writes [][]byte
					p := &hostilePort{echo: test.echo}
					p.answer = func(request []byte) []said {
						f := modbus.Function(request[1])
						if f <= modbus.ReadInput {
							data := []byte{2, 0, 0}
							if f <= modbus.ReadDiscretes {
								data = []byte{1, 0}
							}
							if open == test.lies { // 1 is closed
								data[len(data)-1] = 1
							}
							return []said{{20 * time.Millisecond, sound(request[0], f, data...)}}
						}
						writes = append(writes, bytes.Clone(request))
						open = open || test.done
						return test.writing(request, sound(request[0], f, request[2:6]...))
					}
					site := hostileSite(t, p, modbus.New(model), "rail", "7")
					defer site.Stop()
					got := askHostile(t, site, "relay/rail", `{"action":"trip","verify_ms":4000}`)
					message := got.Message
					got.Message = ""
					if got.String() != test.want.String() {
						t.Errorf("got %v (%s), want %v", got, message, test.want)
					}
					if len(writes) != 1 {
						t.Errorf("the command went out %d times: %X", len(writes), writes)
					}
				})
			})
		}
	}
}

// TestValveAgainstHostileMeters does the same with the valve of a meter of CJ/T 188.
func TestValveAgainstHostileMeters(t *testing.T) {
	const soon = 20 * time.Millisecond
	spoken, err := cjt188.New(time.UTC).Configure(map[string]string{"type": "10"})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(request cjt188.Frame, control cjt188.Control, data ...byte) []byte {
		b, err := cjt188.Frame{Type: request.Type, Address: request.Address, Control: control, Data: data}.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, test := range []struct {
		name    string
		echo    bool
		done    bool // the meter carries the command out
		lies    bool // when it is read
		writing func(r cjt188.Frame, right []byte) []said
		want    hostileReply
	}{
		{name: "right", done: true, writing: func(_ cjt188.Frame, right []byte) []said { return []said{{soon, right}} },
			want: hostileReply{OK: true, Result: "verified", Valve: "closed"}},
		{name: "right, on a line with an echo", echo: true, done: true, writing: func(_ cjt188.Frame, right []byte) []said { return []said{{soon, right}} },
			want: hostileReply{OK: true, Result: "verified", Valve: "closed"}},
		{name: "silent, on a line with an echo", echo: true, writing: func(cjt188.Frame, []byte) []said { return nil },
			want: hostileReply{Result: "unknown", Valve: "open"}},
		{name: "silent, but carried out", done: true, writing: func(cjt188.Frame, []byte) []said { return nil },
			want: hostileReply{Result: "unknown", Valve: "closed"}},
		{name: "the number of another command", done: true, writing: func(r cjt188.Frame, _ []byte) []said {
			return []said{{soon, answer(r, 0x84, 0xA0, 0x17, r.Data[2]+1, 1, 0)}}
		}, want: hostileReply{Result: "unknown", Valve: "closed"}},
		{name: "the answer to another command", done: true, writing: func(r cjt188.Frame, _ []byte) []said {
			return []said{{soon, answer(r, 0x84, 0xA0, 0x15, r.Data[2])}}
		}, want: hostileReply{Result: "unknown", Valve: "closed"}},
		{name: "the answer of another meter", writing: func(r cjt188.Frame, _ []byte) []said {
			r.Address[6] ^= 1
			return []said{{soon, answer(r, 0x84, 0xA0, 0x17, r.Data[2], 1, 0)}}
		}, want: hostileReply{Result: "unknown", Valve: "open"}},
		{name: "the answer of a meter of another type", writing: func(r cjt188.Frame, _ []byte) []said {
			r.Type = cjt188.Heat
			return []said{{soon, answer(r, 0x84, 0xA0, 0x17, r.Data[2], 1, 0)}}
		}, want: hostileReply{Result: "unknown", Valve: "open"}},
		{name: "the request with the bit of an answer", done: true, writing: func(r cjt188.Frame, _ []byte) []said {
			return []said{{soon, answer(r, 0x84, r.Data...)}}
		}, want: hostileReply{OK: true, Result: "verified", Valve: "closed"}}, // makers send no ST
		{name: "too late", done: true, writing: func(_ cjt188.Frame, right []byte) []said { return []said{{3 * time.Second, right}} },
			want: hostileReply{Result: "unknown", Valve: "closed"}},
		{name: "twice", done: true, writing: func(_ cjt188.Frame, right []byte) []said {
			return []said{{soon, right}, {120 * time.Millisecond, right}}
		}, want: hostileReply{OK: true, Result: "verified", Valve: "closed"}},
		{name: "an error after carrying out", done: true, writing: func(r cjt188.Frame, _ []byte) []said {
			return []said{{soon, answer(r, 0xC4, r.Data[2], 1, 0)}}
		}, want: hostileReply{Result: "refused", Reasons: []string{"other"}}},
		{name: "the answer, and nothing done", writing: func(_ cjt188.Frame, right []byte) []said { return []said{{soon, right}} },
			want: hostileReply{Result: "acknowledged", Valve: "open", Pending: true}},
		{name: "done, and a lie about it", done: true, lies: true, writing: func(_ cjt188.Frame, right []byte) []said { return []said{{soon, right}} },
			want: hostileReply{Result: "acknowledged", Valve: "open", Pending: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed, writes := false, 0
				p := &hostilePort{echo: test.echo}
				p.answer = func(request []byte) []said {
					r, err := cjt188.ParseFrame(request)
					if err != nil {
						t.Errorf("%X: %v", request, err)
						return nil
					}
					if r.Control == cjt188.ReadData {
						data := make([]byte, 22)
						copy(data, r.Data)
						data[7], data[12] = 0x2C, 0x2C
						if closed != test.lies {
							data[20] = 1
						}
						return []said{{soon, answer(r, 0x81, data...)}}
					}
					writes++
					closed = closed || test.done
					return test.writing(r, answer(r, 0x84, 0xA0, 0x17, r.Data[2], 1, 0))
				}
				site := hostileSite(t, p, spoken, "water", "1234")
				defer site.Stop()
				got := askHostile(t, site, "relay/water", `{"action":"valve_close","verify_ms":4000}`)
				message := got.Message
				got.Message = ""
				if got.String() != test.want.String() || writes != 1 {
					t.Errorf("got %v (%s), want %v; the command went out %d times", got, message, test.want, writes)
				}
			})
		})
	}
}

// TestLateEchoOfARelayCommandConfirmsNoOther has the answer to a trip come while the next, which the slave never hears, waits
// for its own: the two are the same bytes.
func TestLateEchoOfARelayCommandConfirmsNoOther(t *testing.T) {
	model, err := modbus.ParseMap("own", "item,area,register,type,order,scale,offset,unit,ratio,invalid,access,role\nrelay_open,coil,5,bool,,,,,,,RW,relay\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []time.Duration{1900 * time.Millisecond, 2100 * time.Millisecond, 3 * time.Second, 3900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			writes := 0
			p := &hostilePort{}
			p.answer = func(request []byte) []said {
				if f := modbus.Function(request[1]); f <= modbus.ReadInput {
					return []said{{20 * time.Millisecond, sound(request[0], f, 1, 1)}}
				}
				if writes++; writes > 1 {
					return nil
				}
				return []said{{late, bytes.Clone(request)}}
			}
			site := hostileSite(t, p, modbus.New(model), "rail", "7")
			defer site.Stop()
			first := make(chan hostileReply)
			go func() { first <- askHostile(t, site, "relay/rail", `{"action":"trip","verify_ms":0}`) }()
			<-time.After(time.Millisecond)
			second := askHostile(t, site, "relay/rail", `{"action":"trip","verify_ms":0,"ttl_ms":60000}`)
			want := "unknown"
			if late < 2*time.Second {
				want = "acknowledged"
			}
			if got := <-first; got.Result != want || second.Result != "unknown" || writes != 2 {
				t.Errorf("late by %v: %v, then %v; %d commands went out", late, got, second, writes)
			}
		})
	}
}
