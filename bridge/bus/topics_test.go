package bus

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// A testDTU has the meters of prompt behind it, and a broker in front that is never late.
type testDTU struct {
	mu       sync.Mutex
	form     func(data []byte) string // how it spells what the line brings
	hex      bool                     // it takes requests as hex
	size     int                      // bytes of the line that it sends in a message; 0: all
	times    int                      // how often it sends each message
	late     time.Duration            // what the way adds to each answer
	away     bool
	refuse   error // of a broker that does not connect
	requests []string
	opened   int
	hear     func([]byte)
	lost     func(error)
}

func (d *testDTU) connect(_ context.Context, hear func([]byte), lost func(error)) (Carrier, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	if d.refuse != nil {
		return nil, d.refuse
	}
	d.hear, d.lost = hear, lost
	return d, nil
}

func (d *testDTU) Close() {}

func (d *testDTU) Send(_ context.Context, message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests = append(d.requests, string(message))
	if d.away {
		return nil
	}
	data := message
	if d.hex {
		var err error
		if data, err = hex.DecodeString(string(message)); err != nil {
			return nil // it takes hex and nothing else
		}
	}
	request := string(bytes.TrimLeft(data, "\xFE"))
	if len(request) != 4 || request[0] != '?' {
		return nil // the meters take no notice
	}
	for _, a := range prompt(request) {
		answer := []byte("\xFE" + a.text)
		at := requestTime + a.after + d.late
		for len(answer) > 0 {
			size := len(answer)
			if d.size > 0 {
				size = min(size, d.size)
			}
			part, hear := []byte(d.form(answer[:size])), d.hear
			answer = answer[size:]
			for range max(1, d.times) {
				at += time.Millisecond
				time.AfterFunc(at, func() { hear(part) })
			}
		}
	}
	return nil
}

func (d *testDTU) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *testDTU) sent() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.requests, " ")
}

// startDTU runs a bus on a DTU, with more parameters of the URL.
func startDTU(t *testing.T, d *testDTU, parameters string) *lineTest {
	t.Helper()
	config, err := ParseURL("mqtt:?up=dtu/up&down=dtu/down&timeout=500ms&latency=1s"+parameters, nil)
	if err != nil {
		t.Fatal(err)
	}
	config.Topics.Connect = d.connect
	l := &lineTest{t: t, begin: time.Now()}
	l.run(config)
	return l
}

var spellings = []struct {
	name string
	hex  bool
	form func([]byte) string
}{
	{"raw", false, func(data []byte) string { return string(data) }},
	{"capitals", true, func(data []byte) string { return fmt.Sprintf("%X", data) }},
	{"small letters", true, func(data []byte) string { return fmt.Sprintf("%x", data) }},
	{"blanks", true, func(data []byte) string { return fmt.Sprintf("% x\r\n", data) }},
}

func TestBusOnTopics(t *testing.T) {
	for _, spelling := range spellings {
		for _, size := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s, %d", spelling.name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &testDTU{form: spelling.form, hex: spelling.hex, size: size}
					l := startDTU(t, d, "")
					defer l.stop()
					equal(t, "at first", values(<-l.submit(read("a", "v"))), "1")
					want := "?av."
					if spelling.hex { // the first try told that it is not raw
						want += " " + hexOf("?av.")
					}
					equal(t, "sent", d.sent(), want)
					// It goes on so, also over another connection.
					equal(t, "more", values(<-l.submit(read("b", "v"))), "1")
					d.lost(errors.New("gone"))
					equal(t, "over another connection", values(<-l.submit(read("a", "w"))), "1")
					for _, request := range []string{"?bv.", "?aw."} {
						if spelling.hex {
							request = hexOf(request)
						}
						want += " " + request
					}
					equal(t, "sent in the end", d.sent(), want)
					equal(t, "connections", d.opened, 2)
				})
			})
		}
	}
}

func hexOf(text string) string { return strings.ToUpper(hex.EncodeToString([]byte(text))) }

// A scan asks each question once, but not before it is known that the question has reached the line.
func TestScanOnTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &testDTU{form: spellings[1].form, hex: true}
		l := startDTU(t, d, "")
		defer l.stop()
		scan := func(meter string) string {
			return values(<-l.submit(withClass(read(meter, "s"), protocol.ClassScan)))
		}
		equal(t, "the first question", scan("a"), "1")
		equal(t, "sent", d.sent(), "?as. "+hexOf("?as."))
		d.set(func() { d.away, d.requests = true, nil })
		equal(t, "a question to nobody", scan("b"), "[silent]")
		equal(t, "sent to nobody", d.sent(), hexOf("?bs."))
	})
	synctest.Test(t, func(t *testing.T) { // somebody has said it
		d := &testDTU{away: true}
		l := startDTU(t, d, "&payload=hex")
		defer l.stop()
		equal(t, "nobody", values(<-l.submit(withClass(read("a", "s"), protocol.ClassScan))), "[silent]")
		equal(t, "sent", d.sent(), hexOf("?as."))
	})
}

// What a DTU sends of itself, and what it sends otherwise than was said, is no answer.
func TestForeignOnTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &testDTU{form: spellings[1].form, hex: true}
		l := startDTU(t, d, "")
		defer l.stop()
		equal(t, "at first", values(<-l.submit(read("a", "v"))), "1")
		report := l.submit(read("a", "w"))
		synctest.Wait()
		d.hear([]byte(`{"imei":"=aw9."}`))
		equal(t, "with text before", values(<-report), "1")

		// Digits are taken for hex until bytes come, of which nothing else could be made.
		d.set(func() { d.form, d.hex = spellings[0].form, false })
		for try := 0; ; try++ {
			if values(<-l.submit(read("a", "w"))) == "1" {
				break
			}
			if try > 10 {
				t.Fatal("a DTU that was set to raw bytes is not understood any more")
			}
			<-time.After(time.Minute) // the meter counts as dead, and is asked seldom
		}
		d.hear([]byte("89860000000000000000"))
		equal(t, "with a number of the DTU before", values(<-l.submit(read("a", "v"))), "1")
	})
	synctest.Test(t, func(t *testing.T) {
		d := &testDTU{form: spellings[1].form}
		l := startDTU(t, d, "&payload=raw")
		defer l.stop()
		reply := (<-l.submit(read("a", "v"))).Replies[0]
		if !errors.Is(reply.Err, protocol.ErrGarbled) && !strings.Contains(fmt.Sprint(reply.Err), "leave payload out") {
			t.Errorf("hex where raw bytes were said: %v", reply.Err)
		}
		d.set(func() { d.form = spellings[0].form })
		equal(t, "raw bytes", values(<-l.submit(read("a", "v"))), "1")
	})
}

// Answers that come late or twice cost time, and are never taken for another.
func TestLateOnTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &testDTU{form: spellings[0].form, times: 2}
		l := startDTU(t, d, "")
		defer l.stop()
		for _, register := range []string{"v", "w", "v", "v"} {
			equal(t, "each message twice", values(<-l.submit(read("a", register))), "1")
		}
		// A second later than anything may be.
		d.set(func() { d.times, d.late = 1, 2500*time.Millisecond })
		equal(t, "late", values(<-l.submit(read("a", "v"))), "1") // the answer to the first try is as good as that to the second
		report := l.submit(read("b", "v"))
		equal(t, "late, and then another", values(<-report), "1")
		d.set(func() { d.late = 0 })
		equal(t, "after that", values(<-l.submit(read("b", "w"))), "1")
	})
}

// A DTU that is away is told of in words, and back as soon as it is there.
func TestAwayOnTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &testDTU{form: spellings[0].form, away: true}
		l := startDTU(t, d, "&payload=raw")
		defer l.stop()
		reply := (<-l.submit(read("a", "v"))).Replies[0]
		for _, want := range []string{"nothing at all has come in the topic dtu/up since 00:00:00", "takes requests from dtu/down", "access list"} {
			if !errors.Is(reply.Err, protocol.ErrSilent) || !strings.Contains(reply.Err.Error(), want) {
				t.Errorf("no word of %q in %v", want, reply.Err)
			}
		}
		d.set(func() { d.away = false })
		<-time.After(time.Minute)
		equal(t, "back again", values(<-l.submit(read("a", "v"))), "1")
	})
	synctest.Test(t, func(t *testing.T) { // the broker is
		d := &testDTU{form: spellings[0].form, refuse: errors.New("the broker is away")}
		l := startDTU(t, d, "&payload=raw")
		defer l.stop()
		report := <-l.submitJob(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: time.Now().Add(time.Second)})
		if err := report.Replies[0].Err; !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "open mqtt:?up=dtu/up&down=dtu/down: the broker is away") {
			t.Errorf("without a broker: %v", err)
		}
		d.set(func() { d.refuse = nil })
		equal(t, "with the broker back", values(<-l.submit(read("a", "v"))), "1")
	})
}

func TestTopicPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := &Topics{Up: "up", Down: "down", payloads: newPayloads(payloadRaw)}
		if _, err := topics.open(t.Context()); err == nil {
			t.Error("it opens without a broker")
		}
		d := &testDTU{}
		topics.Connect = d.connect
		port, err := topics.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 3)
		for _, wait := range []time.Duration{time.Second, 0, -time.Second} {
			begin := time.Now()
			n, err := port.Read(data, wait)
			equal(t, "bytes of a silent line", n, 0)
			equal(t, "error of a silent line", err, nil)
			equal(t, "time waited", time.Since(begin), max(wait, 0))
		}
		d.hear(nil)
		d.hear([]byte("abcd"))
		d.hear([]byte("e"))
		readAll(t, port, "abcde")
		if n, err := port.Read(data, time.Second); n != 0 || err != nil {
			t.Errorf("after all was read: %d, %v", n, err)
		}
		time.AfterFunc(time.Second, func() { d.hear([]byte("f")) })
		readAll(t, port, "f")

		// Nobody reads what a line babbles.
		for range 3 {
			d.hear(make([]byte, mostHeard/2+1))
		}
		d.lost(errors.New("gone"))
		total := 0
		for {
			n, err := port.Read(data, time.Second)
			if total += n; err != nil {
				equal(t, "error of a lost connection", err.Error(), "read mqtt:?up=up&down=down: gone")
				break
			}
		}
		equal(t, "bytes kept", total, mostHeard)
	})
}

// FuzzPayloads cuts what a DTU sends into messages. Whatever they are, nothing is put in and nothing is lost of
// hex, however it is spelt, nor of raw bytes that do not begin like a text.
func FuzzPayloads(f *testing.F) {
	f.Add([]byte("\xFE\xFE\x68\x12\x34\x56\x78\x90\x12\x68\x91\x04\x33\x33\x33\x33\x16"), []byte{1, 4, 2}, byte(1))
	f.Add([]byte("33333333"), []byte{9}, byte(0))
	f.Fuzz(func(t *testing.T, data, sizes []byte, how byte) {
		spelling := spellings[int(how)%len(spellings)]
		cut := func(p *payloads, text string, sizes []byte) (got []byte) {
			for len(text) > 0 {
				size := len(text)
				if len(sizes) > 0 {
					size, sizes = min(1+int(sizes[0]), size), sizes[1:]
				}
				got = append(got, p.decode([]byte(text[:size]))...)
				text = text[size:]
			}
			return got
		}
		fixed := newPayloads(map[bool]string{true: payloadHex, false: payloadRaw}[spelling.hex])
		if got := cut(&fixed, spelling.form(data), sizes); !bytes.Equal(got, data) {
			t.Errorf("% X is read as % X", data, got)
		}
		found := newPayloads(payloadAuto)
		framed := append([]byte{0xFE}, append(bytes.Clone(data), "\x00\x00\x00"...)...)
		if got := cut(&found, spelling.form(framed), sizes); !bytes.Equal(got, framed) {
			t.Errorf("% X is read as % X", framed, got)
		}
		if found.sure != true || found.hex != spelling.hex || len(found.undecided)+len(found.digits) > 0 {
			t.Errorf("%s: %+v", spelling.name, found)
		}
		loose := newPayloads(payloadAuto) // anything at all, and memory stays bounded
		cut(&loose, string(data), sizes)
		if len(loose.undecided) > mostUndecided {
			t.Errorf("%d bytes are kept", len(loose.undecided))
		}
	})
}
