package bridge

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

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
	gauge("outbox_length", func() float64 { return float64(b.outbox.Waiting()) })
	s.RegisterMetricsWriter(func(out io.Writer) {
		b.keeper.WriteMetrics(out)
		fmt.Fprintf(out, "dlt645_info{root=%q,site=%q,version=%q,table=%q} 1\n", b.config.Root, b.config.Site, b.config.Version, b.keeper.Table().Hash())
		metrics.WriteCounterUint64(out, "dlt645_readings_lost_total", b.outbox.LostReadings())
	})
	return s
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
func (b *Bridge) countExchange(meter string, err error) {
	result := "ok"
	if err != nil {
		result = string(problemOf(err).Code)
	}
	b.metrics.GetOrCreateCounter(fmt.Sprintf("dlt645_exchanges_total{meter=%q,result=%q}", meter, result)).Inc()
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
