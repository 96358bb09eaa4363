package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// patience bounds every wait of these tests for real programs; none of them waits for it to pass. It is longer than any
// pause that the program makes by itself, as before it asks a meter again that was silent.
const patience = time.Minute

// A client is an MQTT 5 client as users have them.
type client struct {
	*paho.Client
	t        testing.TB
	messages chan *paho.Publish
}

// newClient connects to a broker and subscribes to filters.
func newClient(t testing.TB, connection net.Conn, filters ...string) *client {
	t.Helper()
	return newClientAs(t, connection, "", "", filters...)
}

// newClientAs does so with a user name and a password.
func newClientAs(t testing.TB, connection net.Conn, user, password string, filters ...string) *client {
	t.Helper()
	c := &client{t: t, messages: make(chan *paho.Publish, 10000)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn: connection,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			c.messages <- p.Packet
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hello := &paho.Connect{
		CleanStart: true, KeepAlive: 60, ClientID: fmt.Sprintf("test-%d", time.Now().UnixNano()),
		Username: user, UsernameFlag: user != "", Password: []byte(password), PasswordFlag: user != "",
	}
	if _, err := c.Connect(ctx, hello); err != nil {
		t.Fatalf("connect to the broker: %v", err)
	}
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	for _, filter := range filters {
		c.subscribe(ctx, filter)
	}
	return c
}

// subscribe asks for a topic. The broker that the binary brings along refuses a packet identifier
// that it uses itself for a message which is not acknowledged yet; soon it is.
func (c *client) subscribe(ctx context.Context, filter string) {
	c.t.Helper()
	const identifierInUse = 0x91
	for {
		answer, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}})
		if err == nil {
			return
		}
		if answer == nil || len(answer.Reasons) == 0 || answer.Reasons[0] != identifierInUse || ctx.Err() != nil {
			c.t.Fatalf("subscribe to %s: %v", filter, err)
		}
	}
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// publish sends a request; change, unless nil, may set properties.
func (c *client) publish(topic, payload string, change func(*paho.Publish)) {
	c.t.Helper()
	p := &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Properties: &paho.PublishProperties{}}
	if change != nil {
		change(p)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if _, err := c.Publish(ctx, p); err != nil {
		c.t.Fatalf("publish to %s: %v", topic, err)
	}
}

// next returns the next message that the client gets.
func (c *client) next() *paho.Publish {
	c.t.Helper()
	return c.nextWithin(patience)
}

// nextWithin is next for who must wait for longer, or not so long.
func (c *client) nextWithin(most time.Duration) *paho.Publish {
	c.t.Helper()
	select {
	case p := <-c.messages:
		checkMessage(c.t, p)
		return p
	case <-time.After(most):
		c.t.Fatal("no message came")
		return nil
	}
}

// await returns the next message on a topic for which accept, unless nil, says yes.
func (c *client) await(topic string, accept func(payload string) bool) *paho.Publish {
	c.t.Helper()
	for {
		p := c.next()
		if p.Topic == topic && (accept == nil || accept(string(p.Payload))) {
			return p
		}
	}
}

// A readReply is what these tests look at in a reply.
type readReply struct {
	ID, Request, Meter, Address, Result, Frame string
	OK                                         bool
	Time                                       time.Time
	Values                                     map[string]json.RawMessage
	Units                                      map[string]string
	Errors                                     map[string]struct {
		Code    string
		Reasons []string
	}
	Error *struct{ Code, Message string }
	Bus   *struct{ Steps int }
}

func parseReply(t testing.TB, payload []byte) readReply {
	t.Helper()
	var r readReply
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("reply %s: %v", payload, err)
	}
	return r
}

// ask publishes a request and returns the next reply.
func (c *client) ask(root, tail, payload string) readReply {
	c.t.Helper()
	c.publish(root+"/request/"+tail, payload, nil)
	return parseReply(c.t, c.await(root+"/reply/"+tail, nil).Payload)
}

// startBridge runs the binary's main job in this process, with these variables, until the
// test ends or stop is called. Called again in the same test, it has the same root.
func startBridge(t testing.TB, variables map[string]string) (root string, stop func()) {
	t.Helper()
	root = bridgeRoot(t)
	all := map[string]string{
		"DLT645_TOPIC": root, "DLT645_LOG_LEVEL": "error",
		"DLT645_POINTS": "off", // only what a test asks for goes over the wire
	}
	maps.Copy(all, variables)
	return root, runServe(t, all, os.Stderr)
}

// runServe runs the binary's main job with these variables and no others, until the test ends or
// stop is called.
func runServe(t testing.TB, variables map[string]string, log io.Writer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	withVariables(t, variables, func() {
		configured := make(chan struct{})
		go func() {
			ended <- serve(ctx, log, func(context.Context, config, *embeddedBroker) { close(configured) })
		}()
		select {
		case <-configured:
		case status := <-ended:
			ended <- status
		case <-time.After(patience):
			t.Error("the bridge does not start")
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case status := <-ended:
			if status != 0 {
				t.Errorf("the bridge ended with status %d", status)
			}
		case <-time.After(patience):
			t.Error("the bridge does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// bridgeRoot is the topic root of a test: no other process has the same.
func bridgeRoot(t testing.TB) string {
	name := strings.NewReplacer("/", "-", " ", "-", "#", "-").Replace(t.Name())
	return fmt.Sprintf("%s-%d", strings.ToLower(name), os.Getpid())
}

// ready waits until the bridge of a root says that it is online.
func (c *client) ready(root string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	c.subscribe(ctx, root+"/bridge/status")
	c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
}

// retained returns what the broker keeps of a topic.
func retained(t *testing.T, address, topic string) string {
	t.Helper()
	p := newClient(t, dial(t, address), topic).next()
	if !p.Retain {
		t.Errorf("%s does not come as retained", topic)
	}
	return string(p.Payload)
}
