package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/limit"
)

// A post office takes what an outbox publishes, or refuses it.
type postOffice struct {
	taken []string
	err   error
	final bool
}

func (p *postOffice) publish(_ context.Context, m Outgoing) (bool, error) {
	if p.err != nil {
		return p.final, p.err
	}
	p.taken = append(p.taken, m.Topic+"="+string(m.Payload))
	return false, nil
}

func quietLog() *limit.Logger { return limit.New(slog.New(slog.DiscardHandler)) }

// TestOutboxKeepsRepliesOverAnOutage loses the connection between two replies; both arrive.
func TestOutboxKeepsRepliesOverAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		broken := &postOffice{err: errors.New("connection lost")}
		ctx, cancel := context.WithCancel(t.Context())
		o.Up(ctx, broken.publish)
		o.Put(Outgoing{Topic: "a", Payload: []byte("1")})
		synctest.Wait()
		o.Down()
		cancel()
		o.Put(Outgoing{Topic: "b", Payload: []byte("2")})
		time.Sleep(time.Hour)
		whole := &postOffice{}
		o.Up(t.Context(), whole.publish)
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
		o := NewOutbox(quietLog())
		office := &postOffice{err: errors.New("not authorised"), final: true}
		o.Up(t.Context(), office.publish)
		o.Put(Outgoing{Topic: "a"})
		synctest.Wait()
		if n := o.Waiting(); n != 0 {
			t.Errorf("%d messages wait, want none", n)
		}
	})
}

// TestOutboxPublishesTheNewestState lets a state change many times while the broker is away,
// and come again with the next connection.
func TestOutboxPublishesTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		for i := range 100 {
			o.Put(Outgoing{Kind: State, Topic: "state", Payload: fmt.Append(nil, i)})
		}
		for range 2 {
			office := &postOffice{}
			o.Up(t.Context(), office.publish)
			synctest.Wait()
			if want := []string{"state=99"}; !slices.Equal(office.taken, want) {
				t.Errorf("published %v, want %v", office.taken, want)
			}
			o.Down()
		}
	})
}

// TestOutboxClearsOnce sends an empty retained message once: at the next connection there is nothing to clear.
func TestOutboxClearsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		office := &postOffice{}
		for _, payload := range []string{"1", ""} {
			o.Put(Outgoing{Kind: State, Topic: "a", Payload: []byte(payload)})
			for range 2 {
				o.Up(t.Context(), office.publish)
				synctest.Wait()
				o.Down()
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
		o := NewOutbox(quietLog())
		o.Put(Outgoing{Kind: State, Topic: "state"})
		for i := range 2 {
			o.Put(Outgoing{Kind: Current, Topic: "state", Payload: fmt.Append(nil, i)})
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
			o.Up(ctx, row.office.publish)
			synctest.Wait()
			o.Down()
			end()
			synctest.Wait()
			if !slices.Equal(row.office.taken, row.want) {
				t.Errorf("published %q, want %q", row.office.taken, row.want)
			}
		}
		o.Put(Outgoing{Kind: State, Topic: "state"})
		o.Put(Outgoing{Kind: Current, Topic: "state", Payload: []byte("2")})
		o.Put(Outgoing{Kind: State, Topic: "state", Payload: []byte("3")})
		office := &postOffice{}
		o.Up(t.Context(), office.publish)
		synctest.Wait()
		if want := []string{"state=3"}; !slices.Equal(office.taken, want) {
			t.Errorf("retained again: published %q, want %q", office.taken, want)
		}
	})
}

// TestOutboxGivesUpCommandsLast overfills the outbox: the results of commands stay.
func TestOutboxGivesUpCommandsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		big := make([]byte, outboxBytes/10)
		o.Put(Outgoing{Kind: Result, Topic: "command"})
		for i := range 30 {
			o.Put(Outgoing{Topic: fmt.Sprint(i), Payload: big})
		}
		if o.queue.bytes > outboxBytes {
			t.Errorf("%d bytes wait, more than %d", o.queue.bytes, outboxBytes)
		}
		var topics []string
		for _, m := range o.queue.messages {
			topics = append(topics, m.Topic)
		}
		if !slices.Contains(topics, "command") || !slices.Contains(topics, "29") || slices.Contains(topics, "0") {
			t.Errorf("waiting: %v, want the command and the newest", topics)
		}
	})
}

func TestOutboxDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		release := make(chan struct{})
		published := false
		o.Up(t.Context(), func(context.Context, Outgoing) (bool, error) {
			<-release
			published = true
			return false, nil
		})
		o.Put(Outgoing{Topic: "last words"})
		time.AfterFunc(time.Second, func() { close(release) })
		o.Drain(time.Minute)
		if !published {
			t.Error("drain returned before the message was out")
		}
		o.WhenRoom(func() { t.Error("a request is acknowledged though nobody sees to its reply any more") })
		start := time.Now()
		o.Down()
		o.Put(Outgoing{Topic: "too late"})
		o.Drain(time.Minute)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("drain waited %s without a connection", waited)
		}
	})
}

// TestOutboxGivesUpPoison has a message that ends every connection on which it is sent, among
// others. It is given up; the others all arrive, once.
func TestOutboxGivesUpPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		for _, topic := range []string{"a", "poison", "b", "c"} {
			o.Put(Outgoing{Topic: topic})
		}
		var taken []string
		connections := 0
		for ; o.Waiting() > 0 || connections == 0; connections++ {
			if connections > 2*mostAttempts {
				t.Fatalf("after %d connections %d messages still wait", connections, o.Waiting())
			}
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			o.Up(ctx, func(ctx context.Context, m Outgoing) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if m.Topic == "poison" {
					cancel()
				}
				if ctx.Err() != nil {
					return false, errors.New("connection lost")
				}
				taken = append(taken, m.Topic)
				return false, nil
			})
			synctest.Wait()
			o.Down()
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
		o := NewOutbox(quietLog())
		first, end := context.WithCancel(t.Context())
		o.Up(first, func(context.Context, Outgoing) (bool, error) { return false, errors.New("connection lost") })
		o.Put(Outgoing{Topic: "reply"})
		synctest.Wait()
		o.Down()
		end()
		synctest.Wait()

		var mu sync.Mutex
		taken := map[string]int{}
		refused := Outgoing{Kind: State, Topic: "refused", Payload: []byte("1")}
		o.Put(refused)
		second, end := context.WithCancel(t.Context())
		o.Up(second, func(_ context.Context, m Outgoing) (bool, error) {
			time.Sleep(time.Second)
			if m.Topic == refused.Topic {
				return false, ErrNotNow
			}
			mu.Lock()
			defer mu.Unlock()
			taken[m.Topic]++
			return false, nil
		})
		for i := range 600 {
			o.Put(Outgoing{Kind: State, Topic: fmt.Sprint("state ", i%8), Payload: fmt.Append(nil, i)})
			time.Sleep(100 * time.Millisecond)
		}
		o.Down()
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
		o := NewOutbox(quietLog())
		var taken []string
		o.Up(t.Context(), func(_ context.Context, m Outgoing) (bool, error) {
			if len(m.Payload) > 10 {
				return true, fmt.Errorf("%w: it is long", ErrTooLarge)
			}
			taken = append(taken, string(m.Payload))
			return false, nil
		})
		o.Put(Outgoing{Payload: []byte("far too long a reply"), Short: func() []byte { return []byte("sorry") }})
		synctest.Wait()
		if !slices.Equal(taken, []string{"sorry"}) {
			t.Errorf("published %v", taken)
		}
	})
}

// TestOutboxOnADeadConnection comes up with a connection that is gone already.
func TestOutboxOnADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tries := 0
		o.Put(Outgoing{Topic: "a"})
		o.Up(ctx, func(context.Context, Outgoing) (bool, error) {
			tries++
			return false, errors.New("no connection")
		})
		synctest.Wait()
		if tries > 0 || o.Waiting() != 1 {
			t.Errorf("%d tries, %d messages wait", tries, o.Waiting())
		}
	})
}

// TestOutboxKeepsTheOrder publishes ordered messages one after the other, however long
// each takes.
func TestOutboxKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		for i := range 10 {
			o.Put(Outgoing{Kind: Event, Topic: "event", Payload: fmt.Append(nil, i)})
		}
		o.Put(Outgoing{Topic: "reply"})
		var mu sync.Mutex
		var begun []string
		o.Up(t.Context(), func(_ context.Context, m Outgoing) (bool, error) {
			mu.Lock()
			begun = append(begun, m.Topic+string(m.Payload))
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
		o := NewOutbox(quietLog())
		connection, end := context.WithCancel(t.Context())
		sent := 0
		slow := func(ctx context.Context, _ Outgoing) (bool, error) {
			sent++
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(time.Hour):
				return false, nil
			}
		}
		o.Up(connection, slow)
		o.Put(Outgoing{Topic: "acknowledged"})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if sent != 1 {
			t.Errorf("sent %d times, want once", sent)
		}

		o.Put(Outgoing{Topic: "not acknowledged"})
		time.Sleep(time.Minute)
		o.Down()
		end()
		synctest.Wait()
		if sent != 2 || o.Waiting() != 1 {
			t.Errorf("sent %d times, %d messages wait; want the second message to wait for the next connection", sent, o.Waiting())
		}
		o.Up(t.Context(), slow)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if sent != 3 || o.Waiting() != 0 {
			t.Errorf("sent %d times, %d messages wait; want the second message sent again", sent, o.Waiting())
		}
	})
}

func TestOutboxTriesAgainWhatIsRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		full := time.Now().Add(time.Minute)
		office := &postOffice{}
		o.Up(t.Context(), func(ctx context.Context, m Outgoing) (bool, error) {
			if time.Now().Before(full) {
				return false, ErrNotNow
			}
			return office.publish(ctx, m)
		})
		o.Put(Outgoing{Topic: "a", Payload: []byte("1")})
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
		o := NewOutbox(quietLog())
		connection, end := context.WithCancel(t.Context())
		taken := make(chan struct{})
		busy := func(ctx context.Context, _ Outgoing) (bool, error) {
			select {
			case taken <- struct{}{}:
				return false, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		o.Up(connection, busy)
		acknowledged := 0
		for range outboxInFlight + outboxRoom + 10 {
			o.Put(Outgoing{})
			o.WhenRoom(func() { acknowledged++ })
		}
		if want := outboxInFlight + outboxRoom - 1; acknowledged != want {
			t.Errorf("%d requests are acknowledged, want %d", acknowledged, want)
		}
		for range outboxRoom/2 + 9 {
			<-taken
			synctest.Wait()
		}
		if acknowledged >= outboxInFlight+outboxRoom {
			t.Errorf("%d requests are acknowledged though %d messages wait", acknowledged, o.Waiting())
		}
		<-taken
		synctest.Wait()
		if want := outboxInFlight + outboxRoom + 10; acknowledged != want {
			t.Errorf("%d requests are acknowledged after half of the messages are out, want %d", acknowledged, want)
		}

		for range outboxRoom {
			o.Put(Outgoing{})
			o.WhenRoom(func() { acknowledged++ })
		}
		before := acknowledged
		o.Down()
		end()
		synctest.Wait()
		o.Up(t.Context(), func(context.Context, Outgoing) (bool, error) { return false, nil })
		synctest.Wait()
		if acknowledged != before || o.Waiting() != 0 {
			t.Errorf("%d requests of a connection that has ended are acknowledged, %d messages wait", acknowledged-before, o.Waiting())
		}
	})
}

// TestOutboxSendsCommandsFirst has results of commands overtake all else that waits.
func TestOutboxSendsCommandsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		o.Put(Outgoing{Topic: "read"})
		o.Put(Outgoing{Kind: Result, Topic: "first"})
		o.Put(Outgoing{Topic: "read"})
		o.Put(Outgoing{Kind: Result, Topic: "second"})
		var topics []string
		for _, m := range o.queue.messages {
			topics = append(topics, m.Topic)
		}
		if want := []string{"first", "second", "read", "read"}; !slices.Equal(topics, want) {
			t.Errorf("in the order %v, want %v", topics, want)
		}
	})
}

// TestOutboxKeepsNoSpareRoom puts in a message whose buffer has grown beyond it.
func TestOutboxKeepsNoSpareRoom(t *testing.T) {
	o := NewOutbox(quietLog())
	o.Put(Outgoing{Payload: make([]byte, 100, 100_000)})
	if o.queue.bytes > 1000 || cap(o.queue.messages[0].Payload) > 200 {
		t.Errorf("%d bytes are kept for a payload of 100", o.queue.bytes)
	}
}

// TestOutboxKeepsNothingThatIsOut fills the outbox during an outage and empties it after.
func TestOutboxKeepsNothingThatIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		before := heap()
		for range 30 {
			o.Put(Outgoing{Payload: make([]byte, outboxBytes/40)})
		}
		o.Up(t.Context(), (&postOffice{final: true, err: errors.New("not authorised")}).publish)
		synctest.Wait()
		if used := heap() - before; o.Waiting() > 0 || used > outboxBytes/10 {
			t.Errorf("%d messages wait, %d bytes are in use", o.Waiting(), used)
		}
		runtime.KeepAlive(o)
	})
}

// TestOutboxLightLane has more replies to requests of QoS 0 than the broker acknowledges. They go without
// an acknowledgement, whoever brings more of them waits, and a result of a command goes before all.
func TestOutboxLightLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		var mu sync.Mutex
		var light, heavy int
		counts := func() (int, int) {
			mu.Lock()
			defer mu.Unlock()
			return light, heavy
		}
		var first string
		open, broken := make(chan struct{}), false
		publish := func(ctx context.Context, m Outgoing) (bool, error) {
			if m.Kind != Fleeting {
				mu.Lock()
				if heavy++; heavy > outboxInFlight && first == "" {
					first = m.Topic
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
		o.Up(ctx, publish)
		const flood = 5 * outboxRoom
		for range flood {
			o.Put(Outgoing{Kind: Light, Topic: "reply", Payload: make([]byte, 200)})
			o.Brake()
			if waiting := o.Waiting() - outboxRoom; waiting > lightBytes/500+outboxInFlight {
				t.Fatalf("%d more wait", waiting)
			}
		}
		o.Put(Outgoing{Kind: Result, Topic: "result"})
		time.Sleep(time.Minute)
		if light, _ := counts(); light != flood-outboxRoom-outboxInFlight || o.Waiting() != outboxRoom+1 {
			t.Errorf("%d of %d went without an acknowledgement, %d wait", light, flood, o.Waiting())
		}

		// The connection breaks: those that wait in the light lane wait with the others, and nobody is kept
		// waiting by it.
		mu.Lock()
		broken = true
		mu.Unlock()
		for range 2 * lightBytes / 500 {
			o.Put(Outgoing{Kind: Light, Topic: "reply", Payload: make([]byte, 200)})
			o.Brake()
		}
		o.Down()
		end()
		time.Sleep(time.Second) // what was on its way is lost
		mu.Lock()
		broken, light, heavy = false, 0, outboxInFlight // of the last connection
		mu.Unlock()
		waiting := o.Waiting()
		if want := outboxRoom + 1 + outboxInFlight + 2*lightBytes/500; waiting != want {
			t.Errorf("%d wait for the next connection, want %d", waiting, want)
		}
		close(open)
		o.Up(t.Context(), publish)
		synctest.Wait()
		time.Sleep(time.Minute)
		if light, heavy := counts(); heavy-outboxInFlight != waiting || light != 0 || o.Waiting() != 0 {
			t.Errorf("%d of %d were acknowledged over the next connection, %d not, %d wait", heavy-outboxInFlight, waiting, light, o.Waiting())
		}
	})
}

// TestOutboxKeepsNotWhatIsToldAnew publishes what is told anew over each connection: it is kept until the broker
// has it, and no longer.
func TestOutboxKeepsNotWhatIsToldAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		o.Put(Outgoing{Kind: Passing, Topic: "config", Payload: []byte("1")})
		o.Put(Outgoing{Kind: State, Topic: "state", Payload: []byte("2")})
		for i, row := range []struct {
			err  error
			want string
		}{{errors.New("connection lost"), "[]"}, {nil, "[config=1 state=2]"}, {nil, "[state=2]"}} {
			var mu sync.Mutex
			var taken []string
			ctx, end := context.WithCancel(t.Context())
			o.Up(ctx, func(_ context.Context, m Outgoing) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				if row.err == nil {
					taken = append(taken, m.Topic+"="+string(m.Payload))
				}
				return false, row.err
			})
			synctest.Wait()
			o.Down()
			end()
			synctest.Wait()
			slices.Sort(taken)
			if got := fmt.Sprint(taken); got != row.want {
				t.Errorf("connection %d: published %s, want %s", i, got, row.want)
			}
		}
		if len(o.newest) != 1 {
			t.Errorf("%d messages are kept", len(o.newest))
		}
	})
}

// TestOutboxKeepsReadings keeps readings over an outage, the newest where there are too many, and counts
// what it gave up.
func TestOutboxKeepsReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		broken := &postOffice{err: errors.New("connection lost")}
		ctx, cancel := context.WithCancel(t.Context())
		o.Up(ctx, broken.publish)
		o.Put(Outgoing{Kind: Reading, Topic: "readings", Payload: []byte("first")})
		synctest.Wait()
		o.Down()
		cancel()
		o.Put(Outgoing{Topic: "reply", Payload: []byte("!")})
		synctest.Wait()
		var mu sync.Mutex
		var taken []string
		o.Up(t.Context(), func(_ context.Context, m Outgoing) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, m.Topic+"="+string(m.Payload))
			return false, nil
		})
		synctest.Wait()
		slices.Sort(taken)
		if got := strings.Join(taken, " "); got != "readings=first reply=!" {
			t.Errorf("published %s", got)
		}
		o.Down()
		large := strings.Repeat("x", 1<<20)
		for range 7 {
			o.Put(Outgoing{Kind: Reading, Topic: "readings", Payload: []byte(large)})
		}
		if waiting, lost := len(o.readings.messages), o.LostReadings(); waiting != 3 || lost != 4 {
			t.Errorf("%d wait and %d were given up, want 3 and 4", waiting, lost)
		}
	})
}

// TestLeadingStatesGoFirst: on each connection the broker has what is stale before it hears that we are there, or for
// a moment the old values would seem to be of now.
func TestLeadingStatesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(quietLog())
		for range 3 {
			o.Put(Outgoing{Kind: Following, Topic: "status", Payload: []byte("online")})
			for _, topic := range []string{"a", "b", "c"} {
				o.Put(Outgoing{Kind: Leading, Topic: topic, Payload: []byte(topic)})
			}
			var sent []string
			refused := false
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan string, 10)
			o.Up(ctx, func(_ context.Context, m Outgoing) (bool, error) {
				if m.Topic == "b" && !refused {
					refused = true
					time.Sleep(time.Second)
					over <- m.Topic
					return false, ErrNotNow // a broker that refuses it for ever must hear the rest all the same
				}
				time.Sleep(time.Millisecond)
				over <- m.Topic
				return false, nil
			})
			time.Sleep(time.Minute)
			cancel()
			o.Down()
			for len(over) > 0 {
				sent = append(sent, <-over)
			}
			if status := slices.Index(sent, "status"); status < 3 || slices.Index(sent, "a") > status || slices.Index(sent, "c") > status {
				t.Errorf("sent %q", sent)
			}
			synctest.Wait()
		}
	})
}

// heap is how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
