package bridge

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// Whoever fetches the metrics takes them for what is now. So what has not been read for that many
// intervals of its point is left out, but not before the time is over for which Prometheus itself
// holds on to a value.
const (
	readingsShown = 3
	shortestShown = 5 * time.Minute
)

// newMetrics makes the set that /metrics shows. Labels come from closed lists only: a client
// must not be able to add series by what it sends.
func (b *Bridge) newMetrics() *metrics.Set {
	s := metrics.NewSet()
	gauge := func(name string, value func() float64) { s.NewGauge("dlt645_"+name, value) }
	flag := func(name string, value func() bool) { gauge(name, func() float64 { return float64(oneIf(value())) }) }
	flag("broker_up", b.listening.Load)
	flag("bus_up", func() bool { return b.bus.State().Up })
	gauge("bus_utilisation_ratio", func() float64 { return b.bus.State().Utilisation })
	gauge("bus_queue_length", func() float64 { return float64(b.bus.State().Queue) })
	gauge("outbox_length", func() float64 { return float64(b.outbox.Waiting()) })
	s.RegisterMetricsWriter(b.writeMeters)
	return s
}

// writeMeters writes what is known of the meters that are looked after, in the text format of
// Prometheus. Values keep all their digits.
func (b *Bridge) writeMeters(out io.Writer) {
	now := time.Now()
	watches := b.poller.all()
	slices.SortFunc(watches, func(v, w *watch) int { return strings.Compare(v.Name, w.Name) })
	for _, w := range watches {
		w.mu.Lock()
		online, known, order, relay := w.presence.online, w.presence.known, w.order, w.state.relay
		values := make(map[string]any, len(order))
		for item, v := range w.state.values {
			if p := w.points[item]; p != nil && bus.Age(v.time, now) <= max(readingsShown*p.Interval, shortestShown) {
				values[item] = v.data
			}
		}
		w.mu.Unlock()
		if known {
			fmt.Fprintf(out, "dlt645_meter_online{meter=%q} %d\n", w.Name, oneIf(online))
		}
		if known && online && relay != "" { // nobody knows how that of a silent meter is
			fmt.Fprintf(out, "dlt645_meter_relay_closed{meter=%q} %d\n", w.Name, oneIf(relay == relayClosed))
		}
		if turnaround, known := b.bus.Meter(w.current().MeterKey).Turnaround(); known {
			fmt.Fprintf(out, "dlt645_meter_turnaround_seconds{meter=%q} %g\n", w.Name, turnaround.Seconds())
		}
		for _, item := range order {
			name := fmt.Sprintf("dlt645_point_value{meter=%q,item=%q}", w.Name, item)
			switch v := values[item].(type) {
			case protocol.Decimal:
				fmt.Fprintf(out, "%s %s\n", name, v)
			case bool:
				fmt.Fprintf(out, "%s %d\n", name, oneIf(v))
			}
		}
	}
	metrics.WriteCounterUint64(out, "dlt645_polls_missed_total", b.poller.missedSoFar())
	metrics.WriteCounterUint64(out, "dlt645_readings_lost_total", b.outbox.LostReadings())
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}

// goodEndings are how replies end that are ok.
var goodEndings = []string{"ok", "verified", "acknowledged", "sent"}

// countReply counts the reply to a request under its verb and how it ended.
func (b *Bridge) countReply(verb, result string) {
	if !slices.Contains(Verbs, verb) {
		verb = "other"
	}
	b.counted.replies.Add(1)
	if isCommandVerb(verb) {
		b.counted.commands.Add(1)
	}
	if !slices.Contains(goodEndings, result) {
		b.counted.errors.Add(1)
	}
	b.metrics.GetOrCreateCounter(fmt.Sprintf("dlt645_replies_total{verb=%q,result=%q}", verb, result)).Inc()
}

// countExchange counts how a conversation with a meter ended.
func (b *Bridge) countExchange(w *watch, o *outcome) {
	if !o.Started {
		return
	}
	result := "ok"
	if o.Err != nil {
		result = string(problemOf(o.Err).Code)
	}
	b.metrics.GetOrCreateCounter(fmt.Sprintf("dlt645_exchanges_total{meter=%q,result=%q}", w.Name, result)).Inc()
}

// forgetMeter drops the series of a meter that is not looked after any more.
func (b *Bridge) forgetMeter(name string) {
	mark := fmt.Sprintf("{meter=%q,", name)
	for _, metric := range b.metrics.ListMetricNames() {
		if strings.Contains(metric, mark) {
			b.metrics.UnregisterMetric(metric)
		}
	}
}

func (b *Bridge) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	b.metrics.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
