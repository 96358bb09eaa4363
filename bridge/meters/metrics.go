package meters

import (
	"fmt"
	"io"
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

// WriteMetrics writes what is known of the meters that are looked after, in the text format of
// Prometheus. Values keep all their digits.
func (k *Keeper) WriteMetrics(out io.Writer) {
	now := time.Now()
	records := k.poller.all()
	slices.SortFunc(records, func(v, w *record) int { return strings.Compare(v.Name, w.Name) })
	for _, w := range records {
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
		if turnaround, known := k.bus.Meter(w.Current().MeterKey).Turnaround(); known {
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
	metrics.WriteCounterUint64(out, "dlt645_polls_missed_total", k.poller.missedSoFar())
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}
