package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// counters count what the uplink does, and keep log lines from repeating.
type counters struct {
	set       *metrics.Set
	connected *metrics.Gauge
	posts     *metrics.Counter
	values    *metrics.Counter
	calls     *metrics.Counter
	dropped   *metrics.Counter

	mu   sync.Mutex
	told map[string]time.Time
}

func newCounters() *counters {
	set := metrics.NewSet()
	return &counters{
		set: set, told: map[string]time.Time{},
		connected: set.NewGauge("dlt645_uplink_connected", nil),
		posts:     set.NewCounter("dlt645_uplink_posts_total"),
		values:    set.NewCounter("dlt645_uplink_values_total"),
		calls:     set.NewCounter("dlt645_uplink_calls_total"),
		dropped:   set.NewCounter("dlt645_uplink_unreadable_total"),
	}
}

// mostRefused bounds the series of refused keys, which come from the cloud.
const mostRefused = 500

// refused counts what the cloud did not take.
func (c *counters) refused(key, reason string) {
	if len(c.set.ListMetricNames()) > mostRefused {
		key = "other"
	}
	c.set.GetOrCreateCounter(fmt.Sprintf("dlt645_uplink_rejected_total{item=%q,reason=%q}", clip(key), clip(reason))).Inc()
}

// limited logs a line at most once a minute for each subject.
func (c *counters) limited(log *slog.Logger, subject, message string, arguments ...any) {
	if c.may(subject, time.Minute) {
		log.Warn(message, arguments...)
	}
}

// once logs a line once a day for each subject.
func (c *counters) once(log *slog.Logger, subject, message string, arguments ...any) {
	if c.may(subject, 24*time.Hour) {
		log.Error(message, arguments...)
	}
}

func (c *counters) may(subject string, pause time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, told := c.told[subject]; told && time.Since(last) < pause {
		return false
	}
	if len(c.told) > 2*mostRefused {
		clear(c.told)
	}
	c.told[subject] = time.Now()
	return true
}

// serveHTTP serves /metrics, /healthz and /readyz, if that is wanted, until stop is called.
func (u *Uplink) serveHTTP(ctx context.Context) (stop func(), err error) {
	if u.config.HTTP == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", u.config.HTTP)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP on %s (DLT645_UPLINK_HTTP): %w", u.config.HTTP, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		u.set().WritePrometheus(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if missing := u.unready(); missing != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, missing)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
	go func() { _ = server.Serve(listener) }()
	u.log.Info("serving HTTP", "address", listener.Addr().String())
	return func() { _ = server.Close() }, nil
}

func (u *Uplink) set() *metrics.Set { return u.metrics.set }

// unready says what keeps values from reaching the cloud; empty if nothing does.
func (u *Uplink) unready() string {
	switch {
	case u.local.dataUp.Load() == nil || u.local.callsUp.Load() == nil:
		return "not connected to the local broker " + u.config.Local.String()
	case u.metrics.connected.Get() == 0:
		return "not connected to the cloud " + u.config.URL.Redacted()
	}
	return ""
}
