package bridge

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/VictoriaMetrics/metrics"
)

// newMetrics makes the set that /metrics shows. Labels come from closed lists only: a client
// must not be able to add series by what it sends.
func (b *Bridge) newMetrics() *metrics.Set {
	s := metrics.NewSet()
	gauge := func(name string, value func() float64) { s.NewGauge("dlt645_"+name, value) }
	flag := func(name string, value func() bool) {
		gauge(name, func() float64 {
			if value() {
				return 1
			}
			return 0
		})
	}
	flag("broker_up", b.listening.Load)
	flag("bus_up", func() bool { return b.bus.State().Up })
	gauge("bus_utilisation_ratio", func() float64 { return b.bus.State().Utilisation })
	gauge("bus_queue_length", func() float64 { return float64(b.bus.State().Queue) })
	gauge("outbox_length", func() float64 { return float64(b.outbox.waiting()) })
	for _, m := range b.directory.meters {
		flag(fmt.Sprintf("meter_online{meter=%q}", m.Name), func() bool { return b.bus.Meter(m.current()).Online() })
	}
	return s
}

// countReply counts the reply to a request under its verb and how it ended.
func (b *Bridge) countReply(verb string, result string) {
	if !slices.Contains(Verbs, verb) {
		verb = "other"
	}
	b.metrics.GetOrCreateCounter(fmt.Sprintf("dlt645_replies_total{verb=%q,result=%q}", verb, result)).Inc()
}

// countExchange counts how a conversation with a meter ended.
func (b *Bridge) countExchange(w *watch, o *outcome) {
	result := "ok"
	if o.Err != nil {
		result = string(problemOf(o.Err).Code)
	}
	b.metrics.GetOrCreateCounter(fmt.Sprintf("dlt645_exchanges_total{meter=%q,result=%q}", w.Name, result)).Inc()
}

func (b *Bridge) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	b.metrics.WritePrometheus(w)
}
