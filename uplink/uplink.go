package uplink

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/uplink/dialect"
)

// A Config is what an uplink needs.
type Config struct {
	Local   mqtt.Broker // as the bridges use it; the client id is that of the persistent session, the other connection adds -calls
	Roots   []string    // root topics of the bridges
	Cloud   string      // name of the dialect
	URL     *url.URL    // of the cloud
	TLS     *tls.Config
	Options dialect.Options
	Keys    Keys

	Undated     bool          // take commands that have no time
	MinInterval time.Duration // between two posts of a meter
	Backfill    string        // item of history to read after a gap; empty: none

	BackfillAfter time.Duration // the shortest gap after which it is read
	HTTP          string        // address of /metrics and /healthz; empty: none
	Log           *slog.Logger

	Hurry int // for tests: pauses between attempts to connect are shorter by this factor
}

// An Uplink is one way to one cloud.
//
// Lock order: that of reachability before that of devices. Local, the sessions and the counters have a lock each, and
// call nothing with it held.
type Uplink struct {
	config  Config
	dialect dialect.Dialect
	traits  dialect.Traits
	devices *devices
	metrics *counters
	flags   *flagNames
	log     *slog.Logger

	presence *reachability
	calls    *calls
	cloud    *cloud
	local    *local
}

// New returns an uplink that does nothing yet. The error says what the dialect misses.
func New(config Config) (*Uplink, error) {
	d, err := NewDialect(config)
	if err != nil {
		return nil, err
	}
	traits := d.Traits()
	prefix := ""
	for _, row := range config.Options.Devices {
		if flat(config.Options.Devices) && len(row.Prefix) > len(prefix) {
			prefix = row.Prefix
		}
	}
	if err := config.Keys.check(traits.Identifier, prefix); err != nil {
		return nil, err
	}
	if config.URL == nil {
		if traits.Host == "" {
			return nil, fmt.Errorf("%s has no address of its own: set DLT645_UPLINK_URL, as in mqtts://host:8883", config.Cloud)
		}
		if config.URL, err = url.Parse(traits.Host); err != nil {
			return nil, err
		}
	}
	u := &Uplink{
		config: config, dialect: d, traits: traits, log: config.Log, metrics: newCounters(), flags: &flagNames{names: map[string]string{}},
	}
	u.devices = newDevices(config.Options.Devices, config.Roots)
	u.devices.clash = u.noteClash
	u.presence = newPresence(u.devices)
	u.presence.sessions = traits.Sessions
	u.cloud = newCloud(u)
	u.local = newLocal(u)
	u.calls = newCalls(u)
	return u, nil
}

// NewDialect returns the dialect of a configuration, with what its devices and keys say. The error says what
// the dialect misses.
func NewDialect(config Config) (dialect.Dialect, error) {
	options := config.Options
	inFlat := flat(options.Devices)
	if inFlat {
		options.Devices = nil // they name prefixes only
	}
	options.State, options.StateEvent = config.Keys.state(inFlat)
	if options.StateEvent != "" && (config.Cloud != "aliyun" || !inFlat) {
		return nil, fmt.Errorf("the state of a meter is an event (%s in the keys file) with aliyun in flat mode only", eventMark)
	}
	return dialect.New(config.Cloud, options)
}

// Run connects both sides and works until ctx ends. It returns an error only if it cannot begin.
func (u *Uplink) Run(ctx context.Context) error {
	stop, err := u.serveHTTP(ctx)
	if err != nil {
		return err
	}
	defer stop()
	connections, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	if err := u.local.connect(connections); err != nil {
		return err
	}
	u.log.Info("dlt645-mqtt uplink", "cloud", u.config.Cloud, "url", u.config.URL.Redacted(), "broker", u.config.Local.String(),
		"roots", u.config.Roots, "devices", len(u.config.Options.Devices), "commands", u.config.Options.Commands)
	var working sync.WaitGroup
	working.Go(func() { u.cloud.run(ctx) })
	working.Go(func() { newFlow(u).run(ctx) })
	working.Wait()
	u.calls.end()
	u.local.disconnect()
	u.log.Info("stopped")
	return nil
}

// noteClash tells that a meter is left out, since another one has its keys.
func (u *Uplink) noteClash(without, with meterID) {
	u.metrics.refused(defaultPrefix(without.meter), "prefix")
	u.metrics.once(u.log, "prefix "+without.root+"/"+without.meter, "two meters would have the same keys, so that one of them does not go to the cloud; give each a prefix of its own in DLT645_UPLINK_DEVICES",
		"root", without.root, "meter", without.meter, "goes", with.root+"/meter/"+with.meter)
}

// root returns the root that a topic lies under, and the rest of it.
func (u *Uplink) root(topic string) (root, rest string, ok bool) {
	for _, r := range u.config.Roots {
		if len(topic) > len(r)+1 && topic[:len(r)] == r && topic[len(r)] == '/' && len(r) > len(root) {
			root, rest, ok = r, topic[len(r)+1:], true
		}
	}
	return root, rest, ok
}
