package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A post office takes what an outbox publishes, or refuses it.
type postOffice struct {
	taken []string
	err   error
	final bool
}

func (p *postOffice) publish(_ context.Context, m outgoing) (bool, error) {
	if p.err != nil {
		return p.final, p.err
	}
	p.taken = append(p.taken, m.topic+"="+string(m.payload))
	return false, nil
}

func quietLog() *limiter { return &limiter{logger: slog.New(slog.NewTextHandler(io.Discard, nil))} }

// TestOutboxKeepsRepliesOverAnOutage loses the connection between two replies; both arrive.
func TestOutboxKeepsRepliesOverAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		broken := &postOffice{err: errors.New("connection lost")}
		ctx, cancel := context.WithCancel(t.Context())
		o.up(ctx, broken.publish)
		o.put(outgoing{topic: "a", payload: []byte("1")})
		synctest.Wait()
		o.down()
		cancel()
		o.put(outgoing{topic: "b", payload: []byte("2")})
		time.Sleep(time.Hour)
		whole := &postOffice{}
		o.up(t.Context(), whole.publish)
		synctest.Wait()
		slices.Sort(whole.taken)
		if want := []string{"a=1", "b=2"}; !slices.Equal(whole.taken, want) {
			t.Errorf("published %v, want %v", whole.taken, want)
		}
	})
}

// TestOutboxDropsWhatTheBrokerRefuses tries a refused message once only.
func TestOutboxDropsWhatTheBrokerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		office := &postOffice{err: errors.New("not authorised"), final: true}
		o.up(t.Context(), office.publish)
		o.put(outgoing{topic: "a"})
		synctest.Wait()
		if n := o.waiting(); n != 0 {
			t.Errorf("%d messages wait, want none", n)
		}
	})
}

// TestOutboxPublishesTheNewestState lets a state change many times while the broker is away,
// and come again with the next connection.
func TestOutboxPublishesTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		for i := range 100 {
			o.put(outgoing{topic: "state", payload: fmt.Append(nil, i), retain: true})
		}
		for range 2 {
			office := &postOffice{}
			o.up(t.Context(), office.publish)
			synctest.Wait()
			if want := []string{"state=99"}; !slices.Equal(office.taken, want) {
				t.Errorf("published %v, want %v", office.taken, want)
			}
			o.down()
		}
	})
}

// TestOutboxClearsOnce sends an empty retained message once: at the next connection there is nothing to clear.
func TestOutboxClearsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		office := &postOffice{}
		for _, payload := range []string{"1", ""} {
			o.put(outgoing{topic: "a", payload: []byte(payload), retain: true})
			for range 2 {
				o.up(t.Context(), office.publish)
				synctest.Wait()
				o.down()
			}
		}
		if got := fmt.Sprint(office.taken); got != "[a=1 a=1 a=]" {
			t.Errorf("published %s", got)
		}
	})
}

// TestOutboxClearsBeforeWhatIsNotRetained has a state follow that is not retained before the broker
// was told to forget the one that was: over a connection that breaks, then over whole ones.
func TestOutboxClearsBeforeWhatIsNotRetained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		o.put(outgoing{topic: "state", retain: true})
		for i := range 2 {
			o.put(outgoing{topic: "state", payload: fmt.Append(nil, i), current: true})
		}
		for _, row := range []struct {
			office postOffice
			want   []string
		}{
			{postOffice{err: errors.New("connection lost")}, nil},
			{postOffice{}, []string{"state=", "state=1"}},
			{postOffice{}, []string{"state=1"}},
		} {
			ctx, end := context.WithCancel(t.Context())
			o.up(ctx, row.office.publish)
			synctest.Wait()
			o.down()
			end()
			synctest.Wait()
			if !slices.Equal(row.office.taken, row.want) {
				t.Errorf("published %q, want %q", row.office.taken, row.want)
			}
		}
		o.put(outgoing{topic: "state", retain: true})
		o.put(outgoing{topic: "state", payload: []byte("2"), current: true})
		o.put(outgoing{topic: "state", payload: []byte("3"), retain: true})
		office := &postOffice{}
		o.up(t.Context(), office.publish)
		synctest.Wait()
		if want := []string{"state=3"}; !slices.Equal(office.taken, want) {
			t.Errorf("retained again: published %q, want %q", office.taken, want)
		}
	})
}

// TestOutboxGivesUpCommandsLast overfills the outbox: the results of commands stay.
func TestOutboxGivesUpCommandsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		big := make([]byte, outboxBytes/10)
		o.put(outgoing{topic: "command", command: true})
		for i := range 30 {
			o.put(outgoing{topic: fmt.Sprint(i), payload: big})
		}
		if o.bytes > outboxBytes {
			t.Errorf("%d bytes wait, more than %d", o.bytes, outboxBytes)
		}
		var topics []string
		for _, m := range o.queue {
			topics = append(topics, m.topic)
		}
		if !slices.Contains(topics, "command") || !slices.Contains(topics, "29") || slices.Contains(topics, "0") {
			t.Errorf("waiting: %v, want the command and the newest", topics)
		}
	})
}

func TestOutboxDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		release := make(chan struct{})
		published := false
		o.up(t.Context(), func(context.Context, outgoing) (bool, error) {
			<-release
			published = true
			return false, nil
		})
		o.put(outgoing{topic: "last words"})
		time.AfterFunc(time.Second, func() { close(release) })
		o.drain(time.Minute)
		if !published {
			t.Error("drain returned before the message was out")
		}
		o.whenRoom(func() { t.Error("a request is acknowledged though nobody sees to its reply any more") })
		start := time.Now()
		o.down()
		o.put(outgoing{topic: "too late"})
		o.drain(time.Minute)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("drain waited %s without a connection", waited)
		}
	})
}

// TestOutboxGivesUpPoison has a message that ends every connection on which it is sent, among
// others. It is given up; the others all arrive, once.
func TestOutboxGivesUpPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		for _, topic := range []string{"a", "poison", "b", "c"} {
			o.put(outgoing{topic: topic})
		}
		var taken []string
		connections := 0
		for ; o.waiting() > 0 || connections == 0; connections++ {
			if connections > 2*mostAttempts {
				t.Fatalf("after %d connections %d messages still wait", connections, o.waiting())
			}
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			o.up(ctx, func(ctx context.Context, m outgoing) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if m.topic == "poison" {
					cancel()
				}
				if ctx.Err() != nil {
					return false, errors.New("connection lost")
				}
				taken = append(taken, m.topic)
				return false, nil
			})
			synctest.Wait()
			o.down()
			cancel()
			synctest.Wait()
		}
		slices.Sort(taken)
		if want := []string{"a", "b", "c"}; !slices.Equal(taken, want) {
			t.Errorf("published %v, want %v", taken, want)
		}
	})
}

// TestOutboxSendsSuspectsAmongStates has a reply that was under way when a connection ended go out over
// the next one, though states come all the time and the broker takes one of them never.
func TestOutboxSendsSuspectsAmongStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		first, end := context.WithCancel(t.Context())
		o.up(first, func(context.Context, outgoing) (bool, error) { return false, errors.New("connection lost") })
		o.put(outgoing{topic: "reply"})
		synctest.Wait()
		o.down()
		end()
		synctest.Wait()

		var mu sync.Mutex
		taken := map[string]int{}
		refused := outgoing{topic: "refused", payload: []byte("1"), retain: true}
		o.put(refused)
		second, end := context.WithCancel(t.Context())
		o.up(second, func(_ context.Context, m outgoing) (bool, error) {
			time.Sleep(time.Second)
			if m.topic == refused.topic {
				return false, errNotNow
			}
			mu.Lock()
			defer mu.Unlock()
			taken[m.topic]++
			return false, nil
		})
		for i := range 600 {
			o.put(outgoing{topic: fmt.Sprint("state ", i%8), payload: fmt.Append(nil, i), retain: true})
			time.Sleep(100 * time.Millisecond)
		}
		o.down()
		end()
		time.Sleep(time.Minute)
		synctest.Wait()
		if taken["reply"] != 1 || taken["state 0"] < 30 {
			t.Errorf("taken in a minute: %v", taken)
		}
	})
}

// TestOutboxSendsLessToASmallBroker replaces a message that the broker would not take.
func TestOutboxSendsLessToASmallBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		var taken []string
		o.up(t.Context(), func(_ context.Context, m outgoing) (bool, error) {
			if len(m.payload) > 10 {
				return true, fmt.Errorf("%w: it is long", errTooLarge)
			}
			taken = append(taken, string(m.payload))
			return false, nil
		})
		o.put(outgoing{payload: []byte("far too long a reply"), short: func() []byte { return []byte("sorry") }})
		synctest.Wait()
		if !slices.Equal(taken, []string{"sorry"}) {
			t.Errorf("published %v", taken)
		}
	})
}

// TestOutboxOnADeadConnection comes up with a connection that is gone already.
func TestOutboxOnADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tries := 0
		o.put(outgoing{topic: "a"})
		o.up(ctx, func(context.Context, outgoing) (bool, error) {
			tries++
			return false, errors.New("no connection")
		})
		synctest.Wait()
		if tries > 0 || o.waiting() != 1 {
			t.Errorf("%d tries, %d messages wait", tries, o.waiting())
		}
	})
}

// TestOutboxKeepsTheOrder publishes ordered messages one after the other, however long
// each takes.
func TestOutboxKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		for i := range 10 {
			o.put(outgoing{topic: "event", payload: fmt.Append(nil, i), ordered: true})
		}
		o.put(outgoing{topic: "reply"})
		var mu sync.Mutex
		var begun []string
		o.up(t.Context(), func(_ context.Context, m outgoing) (bool, error) {
			mu.Lock()
			begun = append(begun, m.topic+string(m.payload))
			takes := time.Second / time.Duration(len(begun)) // each less than the one before
			mu.Unlock()
			time.Sleep(takes)
			return false, nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"event0", "event1", "event2", "event3", "event4", "event5", "event6", "event7", "event8", "event9"}
		events := slices.DeleteFunc(slices.Clone(begun), func(what string) bool { return what == "reply" })
		if !slices.Equal(events, want) || len(begun) != 11 {
			t.Errorf("begun in the order %v, want %v", begun, want)
		}
	})
}

func TestOutboxAndASlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		connection, end := context.WithCancel(t.Context())
		sent := 0
		slow := func(ctx context.Context, _ outgoing) (bool, error) {
			sent++
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(time.Hour):
				return false, nil
			}
		}
		o.up(connection, slow)
		o.put(outgoing{topic: "acknowledged"})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if sent != 1 {
			t.Errorf("sent %d times, want once", sent)
		}

		o.put(outgoing{topic: "not acknowledged"})
		time.Sleep(time.Minute)
		o.down()
		end()
		synctest.Wait()
		if sent != 2 || o.waiting() != 1 {
			t.Errorf("sent %d times, %d messages wait; want the second message to wait for the next connection", sent, o.waiting())
		}
		o.up(t.Context(), slow)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if sent != 3 || o.waiting() != 0 {
			t.Errorf("sent %d times, %d messages wait; want the second message sent again", sent, o.waiting())
		}
	})
}

func TestOutboxTriesAgainWhatIsRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		full := time.Now().Add(time.Minute)
		office := &postOffice{}
		o.up(t.Context(), func(ctx context.Context, m outgoing) (bool, error) {
			if time.Now().Before(full) {
				return false, errNotNow
			}
			return office.publish(ctx, m)
		})
		o.put(outgoing{topic: "a", payload: []byte("1")})
		time.Sleep(time.Minute + refusalPause)
		synctest.Wait()
		if want := []string{"a=1"}; !slices.Equal(office.taken, want) {
			t.Errorf("published %v, want %v", office.taken, want)
		}
	})
}

// TestOutboxHasRoom lets more wait than the broker should send requests for.
func TestOutboxHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		connection, end := context.WithCancel(t.Context())
		taken := make(chan struct{})
		busy := func(ctx context.Context, _ outgoing) (bool, error) {
			select {
			case taken <- struct{}{}:
				return false, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		o.up(connection, busy)
		acknowledged := 0
		for range outboxInFlight + outboxRoom + 10 {
			o.put(outgoing{})
			o.whenRoom(func() { acknowledged++ })
		}
		if want := outboxInFlight + outboxRoom - 1; acknowledged != want {
			t.Errorf("%d requests are acknowledged, want %d", acknowledged, want)
		}
		for range outboxRoom/2 + 9 {
			<-taken
			synctest.Wait()
		}
		if acknowledged >= outboxInFlight+outboxRoom {
			t.Errorf("%d requests are acknowledged though %d messages wait", acknowledged, o.waiting())
		}
		<-taken
		synctest.Wait()
		if want := outboxInFlight + outboxRoom + 10; acknowledged != want {
			t.Errorf("%d requests are acknowledged after half of the messages are out, want %d", acknowledged, want)
		}

		for range outboxRoom {
			o.put(outgoing{})
			o.whenRoom(func() { acknowledged++ })
		}
		before := acknowledged
		o.down()
		end()
		synctest.Wait()
		o.up(t.Context(), func(context.Context, outgoing) (bool, error) { return false, nil })
		synctest.Wait()
		if acknowledged != before || o.waiting() != 0 {
			t.Errorf("%d requests of a connection that has ended are acknowledged, %d messages wait", acknowledged-before, o.waiting())
		}
	})
}

// TestOutboxSendsCommandsFirst has results of commands overtake all else that waits.
func TestOutboxSendsCommandsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		o.put(outgoing{topic: "read"})
		o.put(outgoing{topic: "first", command: true})
		o.put(outgoing{topic: "read"})
		o.put(outgoing{topic: "second", command: true})
		var topics []string
		for _, m := range o.queue {
			topics = append(topics, m.topic)
		}
		if want := []string{"first", "second", "read", "read"}; !slices.Equal(topics, want) {
			t.Errorf("in the order %v, want %v", topics, want)
		}
	})
}

// TestOutboxKeepsNoSpareRoom puts in a message whose buffer has grown beyond it.
func TestOutboxKeepsNoSpareRoom(t *testing.T) {
	o := newOutbox(quietLog())
	o.put(outgoing{payload: make([]byte, 100, 100_000)})
	if o.bytes > 1000 || cap(o.queue[0].payload) > 200 {
		t.Errorf("%d bytes are kept for a payload of 100", o.bytes)
	}
}

// TestOutboxKeepsNothingThatIsOut fills the outbox during an outage and empties it after.
func TestOutboxKeepsNothingThatIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		before := heap()
		for range 30 {
			o.put(outgoing{payload: make([]byte, outboxBytes/40)})
		}
		o.up(t.Context(), (&postOffice{final: true, err: errors.New("not authorised")}).publish)
		synctest.Wait()
		if used := heap() - before; o.waiting() > 0 || used > outboxBytes/10 {
			t.Errorf("%d messages wait, %d bytes are in use", o.waiting(), used)
		}
		runtime.KeepAlive(o)
	})
}

// TestOutboxLightLane has more replies to requests of QoS 0 than the broker acknowledges. They go without
// an acknowledgement, whoever brings more of them waits, and a result of a command goes before all.
func TestOutboxLightLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		var mu sync.Mutex
		var light, heavy int
		counts := func() (int, int) {
			mu.Lock()
			defer mu.Unlock()
			return light, heavy
		}
		var first string
		open, broken := make(chan struct{}), false
		publish := func(ctx context.Context, m outgoing) (bool, error) {
			if !m.transient {
				mu.Lock()
				if heavy++; heavy > outboxInFlight && first == "" {
					first = m.topic
				}
				mu.Unlock()
				select {
				case <-open:
					return false, nil
				case <-ctx.Done():
					return false, ctx.Err()
				}
			}
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return false, errors.New("broken pipe")
			}
			light++
			return false, nil
		}
		ctx, end := context.WithCancel(t.Context())
		o.up(ctx, publish)
		const flood = 5 * outboxRoom
		for range flood {
			o.put(outgoing{topic: "reply", payload: make([]byte, 200), light: true})
			o.brake()
			if waiting := o.waiting() - outboxRoom; waiting > lightBytes/500+outboxInFlight {
				t.Fatalf("%d more wait", waiting)
			}
		}
		o.put(outgoing{topic: "result", command: true})
		time.Sleep(time.Minute)
		if light, _ := counts(); light != flood-outboxRoom-outboxInFlight || o.waiting() != outboxRoom+1 {
			t.Errorf("%d of %d went without an acknowledgement, %d wait", light, flood, o.waiting())
		}

		// The connection breaks: those that wait in the light lane wait with the others, and nobody is kept
		// waiting by it.
		mu.Lock()
		broken = true
		mu.Unlock()
		for range 2 * lightBytes / 500 {
			o.put(outgoing{topic: "reply", payload: make([]byte, 200), light: true})
			o.brake()
		}
		o.down()
		end()
		time.Sleep(time.Second) // what was on its way is lost
		mu.Lock()
		broken, light, heavy = false, 0, outboxInFlight // of the last connection
		mu.Unlock()
		waiting := o.waiting()
		if want := outboxRoom + 1 + outboxInFlight + 2*lightBytes/500; waiting != want {
			t.Errorf("%d wait for the next connection, want %d", waiting, want)
		}
		close(open)
		o.up(t.Context(), publish)
		synctest.Wait()
		time.Sleep(time.Minute)
		if light, heavy := counts(); heavy-outboxInFlight != waiting || light != 0 || o.waiting() != 0 {
			t.Errorf("%d of %d were acknowledged over the next connection, %d not, %d wait", heavy-outboxInFlight, waiting, light, o.waiting())
		}
	})
}

// TestOutboxKeepsNotWhatIsToldAnew publishes what is told anew over each connection: it is kept until the broker
// has it, and no longer.
func TestOutboxKeepsNotWhatIsToldAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		o.put(outgoing{topic: "config", payload: []byte("1"), retain: true, passing: true})
		o.put(outgoing{topic: "state", payload: []byte("2"), retain: true})
		for i, row := range []struct {
			err  error
			want string
		}{{errors.New("connection lost"), "[]"}, {nil, "[config=1 state=2]"}, {nil, "[state=2]"}} {
			var mu sync.Mutex
			var taken []string
			ctx, end := context.WithCancel(t.Context())
			o.up(ctx, func(_ context.Context, m outgoing) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if row.err == nil {
					taken = append(taken, m.topic+"="+string(m.payload))
				}
				return false, row.err
			})
			synctest.Wait()
			o.down()
			end()
			synctest.Wait()
			slices.Sort(taken)
			if got := fmt.Sprint(taken); got != row.want {
				t.Errorf("connection %d: published %s, want %s", i, got, row.want)
			}
		}
		if len(o.retained) != 1 {
			t.Errorf("%d messages are kept", len(o.retained))
		}
	})
}
