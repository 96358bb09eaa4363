//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

const (
	// floods is what the timeline calls a flood: while it lasts the broker may drop what it has queued.
	floods = "flood"

	// floodMark begins the correlation data of a flood's messages.
	floodMark = "flood "

	floodClients = 3
	floodRate    = 3000 // messages a second, of all clients
)

// A flood is the account of messages of QoS 0, of which nobody but the witness knows which have reached the
// bridge. It is guarded by the ledger.
type flood struct {
	delivered, answered map[string]int // by correlation data
}

// floodOf returns the account of the flood under way at a site. The caller holds the lock.
func (l *ledger) floodOf(at *site) *flood {
	f := l.floods[at]
	if f == nil {
		f = &flood{map[string]int{}, map[string]int{}}
		l.floods[at] = f
	}
	return f
}

// flooded notes a message of a flood that goes to a bridge, or a reply to one. It reports whether it was.
func (l *ledger) flooded(at *site, key string, answer bool) bool {
	if !strings.HasPrefix(key, floodMark) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.floodOf(at)
	if answer {
		f.answered[key]++
	} else {
		f.delivered[key]++
	}
	return true
}

// floodDue returns how many messages of a flood that reached the bridge have no reply.
func (l *ledger) floodDue(at *site) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.floodOf(at)
	for key := range f.delivered {
		if f.answered[key] == 0 {
			n++
		}
	}
	return n
}

// endFlood closes the account of a flood. Each message has one reply if nothing else was disturbed meanwhile.
func (l *ledger) endFlood(at *site, calm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.floodOf(at)
	delete(l.floods, at)
	l.flood += len(f.delivered)
	if !calm {
		return
	}
	missing, more := 0, 0
	for key, n := range f.delivered {
		missing += max(0, n-f.answered[key])
	}
	for key, n := range f.answered {
		more += max(0, n-f.delivered[key])
	}
	if missing+more > 0 {
		l.complain("%s: of %d messages of QoS 0 that reached the bridge in a flood %d had no reply, and %d had one too many", at.name, len(f.delivered), missing, more)
	}
}

// flood floods a bridge with requests of QoS 0 that it refuses, or that somebody has asked before, and waits for
// the replies.
func (c *chaos) flood(ctx context.Context, at *site, random *rand.Rand) {
	tail, body := "read/nobody", `{"items":["voltage_a"]}`
	switch random.IntN(3) {
	case 0:
		tail, body = "relay/nobody", "trip"
	case 1:
		tail, body = "read/"+metersOnSite[0].name, `{"items":["no_such_item"]}`
	}
	begin := time.Now()
	over := c.timeline.begin(floods)
	ending, cancel := context.WithTimeout(ctx, between(random, time.Second, 4*time.Second))
	defer cancel()
	var all sync.WaitGroup
	for n := range floodClients {
		all.Go(func() {
			if err := c.pour(ending, at, fmt.Sprintf("%s%s %d %d", floodMark, at.name, begin.UnixNano(), n), tail, body); err != nil {
				c.tell("the flood of %s ends early: %v", at.name, err) // the broker is gone
			}
		})
	}
	all.Wait()
	for deadline := time.Now().Add(patience); c.ledger.floodDue(at) > 0 && time.Now().Before(deadline) && pause(ctx, 50*time.Millisecond); {
	}
	over(time.Second)
	parts := at.parts()
	now := time.Now()
	c.ledger.endFlood(at, ctx.Err() == nil && at.connected(begin, now) && c.timeline.calm(begin, now, parts[0], parts[1], parts[2]))
}

// pour publishes messages of QoS 0 until ctx ends.
func (c *chaos) pour(ctx context.Context, at *site, name, tail, body string) error {
	connection, err := dial(c.broker.address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Now().Add(time.Second)) })
	defer stop()
	hello := &packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, KeepAlive: 60, ClientID: strings.ReplaceAll(name, " ", "-"), Properties: &packets.Properties{}}
	if _, err := hello.WriteTo(connection); err != nil {
		return err
	}
	if _, err := packets.ReadPacket(connection); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, connection) }()
	begin := time.Now()
	for sent := 0; ctx.Err() == nil; sent++ {
		due := begin.Add(time.Duration(sent) * floodClients * time.Second / floodRate)
		if wait := time.Until(due); wait > time.Millisecond && !pause(ctx, wait) {
			break
		}
		p := &packets.Publish{
			Topic: at.root + "/request/" + tail, Payload: []byte(body),
			Properties: &packets.Properties{CorrelationData: fmt.Appendf(nil, "%s %d", name, sent), ResponseTopic: at.root + "/reply/flood"},
		}
		if _, err := p.WriteTo(connection); err != nil {
			return err
		}
	}
	return nil
}
