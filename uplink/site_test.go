package uplink

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/packets"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/brokerlistener"
	fake "dlt645-mqtt/test/cloud"
	"dlt645-mqtt/uplink/dialect"
)

// patience is how long tests wait for what must come.
const patience = 30 * time.Second

// A site is a local broker with an uplink, at a cloud of package test/cloud. Pauses are a thousandth of what they
// are for users.
type site struct {
	t      *testing.T
	broker *mochi.Server
	cloud  *fake.Cloud
	uplink *Uplink
	log    *logged
	stop   func()
	config Config
}

// A logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newSite starts broker and cloud, and an uplink of this configuration, whose connections are filled in.
func newSite(t *testing.T, platform fake.Config, config Config) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, broker: mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)}), log: &logged{}}
	if err := s.broker.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.broker.AddListener(brokerlistener.New(s.broker, listener)); err != nil {
		t.Fatal(err)
	}
	if err := s.broker.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.broker.Close() })
	if s.cloud, err = fake.Start(platform); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cloud.Close)
	config.Local = mqtt.Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: listener.Addr().String()}}, ClientID: "uplink"}
	if config.URL == nil {
		config.URL = &url.URL{Scheme: "mqtt", Host: s.cloud.Address}
	}
	config.Options.Insecure = true
	config.Log = slog.New(slog.NewTextHandler(s.log, nil))
	if config.Roots == nil {
		config.Roots = []string{"dlt645"}
	}
	if config.Hurry == 0 {
		config.Hurry = 1000
	}
	s.config = config
	s.publish("bridge/status", "online")
	s.start()
	defer s.eventually("that both connections to the local broker listen", func() bool {
		return strings.Count(s.log.String(), "has granted the subscriptions") == 2
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Log(s.log)
			all, _ := s.cloud.Messages()
			for _, m := range all {
				t.Logf("%s %s", m.Topic, m.Payload[:min(len(m.Payload), 500)])
			}
		}
	})
	return s
}

// start starts the uplink; stop ends it.
func (s *site) start() {
	s.t.Helper()
	u, err := New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := u.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
	s.uplink = u
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			s.t.Error("the uplink does not end")
		}
	})
}

// publish publishes as a bridge does, retained.
func (s *site) publish(topic, payload string) {
	s.t.Helper()
	if err := s.broker.Publish("dlt645/"+topic, []byte(payload), !strings.HasSuffix(topic, "/event"), 1); err != nil {
		s.t.Fatal(err)
	}
}

// state publishes values of a meter, measured so many seconds after a fixed moment.
func (s *site) state(meter string, second int, values string) {
	s.t.Helper()
	at := time.Date(2026, 11, 20, 18, 0, second, 0, time.FixedZone("CST", 8*3600))
	s.publish("meter/"+meter+"/state", fmt.Sprintf(`{%s,"time":%q}`, values, at.Format(time.RFC3339)))
}

// requests has the site note what the uplink asks the bridges, and answer it by answer.
func (s *site) requests(answer func(topic string, payload []byte) string) func() []packets.Packet {
	s.t.Helper()
	var mu sync.Mutex
	var all []packets.Packet
	err := s.broker.Subscribe("dlt645/request/#", 1, func(_ *mochi.Client, _ packets.Subscription, pk packets.Packet) {
		mu.Lock()
		all = append(all, pk)
		mu.Unlock()
		if reply := answer(pk.TopicName, pk.Payload); reply != "" {
			go func() { _ = s.broker.Publish(pk.Properties.ResponseTopic, []byte(reply), false, 1) }()
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return func() []packets.Packet {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// await waits until the cloud has a message with these parts, from number after on.
func (s *site) await(after int, topic string, parts ...string) fake.Message {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		all, arrived := s.cloud.Messages()
		for ; after < len(all); after++ {
			if strings.HasSuffix(all[after].Topic, topic) && containsAll(string(all[after].Payload), parts) {
				return all[after]
			}
		}
		select {
		case <-arrived:
		case <-deadline:
			s.t.Fatalf("the cloud did not get %s with %v", topic, parts)
		}
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// eventually waits until a condition holds.
func (s *site) eventually(what string, holds func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("%s did not happen", what)
		}
	}
}

func (s *site) metrics() string {
	var b bytes.Buffer
	s.uplink.set().WritePrometheus(&b)
	return b.String()
}

// thingsBoard is the configuration of a gateway at a ThingsBoard with these meters, whose devices have the same
// names with a d in front.
func thingsBoard(meters ...string) Config {
	c := Config{Cloud: "thingsboard", Options: dialect.Options{Secret: "TOKEN"}}
	for _, m := range meters {
		c.Options.Devices = append(c.Options.Devices, dialect.Device{Root: "dlt645", Meter: m, Name: "d" + m})
	}
	return c
}

// aliyun is the configuration of a gateway at Alibaba's platform, and the platform.
func aliyun(meters ...string) (*fake.Aliyun, fake.Config, Config) {
	platform := &fake.Aliyun{Product: "a1Gateway", Device: "site7", Secret: "secret", Devices: map[string]string{}}
	c := Config{Cloud: "aliyun", Options: dialect.Options{Product: "a1Gateway", Device: "site7", Secret: "secret"}}
	for _, m := range meters {
		platform.Devices["d"+m] = "secret of " + m
		c.Options.Devices = append(c.Options.Devices, dialect.Device{Root: "dlt645", Meter: m, Product: "a1Meter", Name: "d" + m, Secret: "secret of " + m})
	}
	return platform, fake.Config{Password: platform.Password, Answer: platform.Answer}, c
}
