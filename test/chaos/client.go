//go:build linux

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// A client is an MQTT 5 client that comes back by itself, without a session.
type client struct {
	*autopaho.ConnectionManager
	ledger   *ledger
	timeline *timeline
	name     string
	asked    int

	mu   sync.Mutex
	back func(time.Duration) // ends the time without a connection; nil while there is one
}

// away notes that the client has no connection, or has one again.
func (c *client) away(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case away && c.back == nil:
		c.back = c.timeline.begin(c.name)
	case !away && c.back != nil:
		c.back(0)
		c.back = nil
	}
}

// newClient connects a client that listens to the replies of a site.
func newClient(ctx context.Context, s *site, name, broker string) (*client, error) {
	address, err := url.Parse("mqtt://" + broker)
	if err != nil {
		return nil, err
	}
	c := &client{ledger: s.ledger, timeline: s.timeline, name: name}
	c.away(true)
	config := autopaho.ClientConfig{
		ServerUrls: []*url.URL{address}, KeepAlive: 10,
		ReconnectBackoff: func(int) time.Duration { return 300 * time.Millisecond },
		ConnectPacketBuilder: func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			p.CleanStart = true
			return p, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() {
				if _, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: s.root + "/reply/#", QoS: 1}}}); err == nil {
					c.away(false)
				}
			}()
		},
		OnConnectionDown: func() bool {
			c.away(true)
			return true
		},
		ClientConfig: paho.ClientConfig{
			ClientID: fmt.Sprintf("%s-%d", name, os.Getpid()),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				s.ledger.arrive(name, string(p.Packet.Properties.CorrelationData))
				return true, nil
			}},
		},
	}
	c.ConnectionManager, err = autopaho.NewConnection(ctx, config)
	return c, err
}

// A publication is what a client publishes, besides what the ledger must know.
type publication struct {
	copies      int // 0: one
	retain      bool
	expiry      *uint32
	private     bool   // the reply goes to a topic of the client's own
	response    string // or to this one
	contentType string
}

// ask publishes a request as often as wanted and waits for the first reply, at most for a while.
func (c *client) ask(ctx context.Context, e *entry, m publication, patience time.Duration) {
	c.asked++
	e.key, e.user = fmt.Sprintf("%s %08d", c.name, c.asked), c.name
	if e.replyTail == "" {
		e.replyTail = e.tail
	}
	properties := &paho.PublishProperties{CorrelationData: []byte(e.key), MessageExpiry: m.expiry, ContentType: m.contentType, ResponseTopic: m.response}
	if m.private {
		e.replyTail = fmt.Sprintf("%s/%d", c.name, c.asked)
		properties.ResponseTopic = e.site.root + "/reply/" + e.replyTail
	}
	c.ledger.ask(e)
	for range max(1, m.copies) {
		publishing, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := c.Publish(publishing, &paho.Publish{
			Topic: e.site.root + "/request/" + e.tail, QoS: 1, Retain: m.retain, Payload: e.body, Properties: properties,
		})
		cancel()
		if err == nil {
			c.ledger.accept(e)
		}
	}
	select {
	case <-e.arrived:
	case <-ctx.Done():
	case <-time.After(patience):
	}
}
