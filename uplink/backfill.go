package uplink

import (
	"context"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

// mostGap bounds how far back a meter is asked.
const mostGap = 7 * 24 * time.Hour

// backfill asks meters that come back for what they have stored meanwhile. What the uplink or the
// cloud missed is not its business: the broker has kept that.
type backfill struct {
	*flow
	busy chan struct{} // one history at a time
}

func newBackfill(f *flow) *backfill { return &backfill{f, make(chan struct{}, 1)} }

// begin has those gaps filled that have ended and are long enough.
func (b *backfill) begin(ctx context.Context) {
	for _, g := range b.presence.ended() {
		device := b.devices.of(g.id)
		if b.config.Backfill == "" || device == nil || g.to.Sub(g.from) < b.config.BackfillAfter {
			continue
		}
		from := g.from
		if g.to.Sub(from) > mostGap {
			from = g.to.Add(-mostGap)
		}
		b.calls.run(func() { b.fill(ctx, device, from, g.to) })
	}
}

// fill reads the history of a gap, portion by portion, and hands it to the flow.
func (b *backfill) fill(ctx context.Context, device *dialect.Device, from, to time.Time) {
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return
	}
	// A few portions of 500 samples are weeks of quarters of an hour.
	next := from.Format(time.RFC3339)
	for range 8 {
		asking, cancel := context.WithTimeout(ctx, 15*time.Minute)
		answer, err := b.local.ask(asking, device.Root, "read/"+device.Meter,
			map[string]any{"items": []string{b.config.Backfill}, "from": next, "to": to.Format(time.RFC3339)}, time.Minute, b.config.Cloud)
		cancel()
		if err != nil {
			b.metrics.limited(b.log, "backfill", "what a meter has stored of a gap could not be read", "meter", device.Meter, "from", next, "err", err)
			return
		}
		t := b.translator // only its names are used, which do not change
		readings, more, err := t.samples(device, answer)
		if err != nil {
			b.metrics.limited(b.log, "backfill", "what a meter has stored of a gap could not be read", "meter", device.Meter, "from", next, "err", err)
			return
		}
		if len(readings) > 0 {
			select {
			case b.history <- readings:
				b.log.Info("a gap was filled out of the meter's memory", "meter", device.Meter, "from", next, "values", len(readings))
			case <-ctx.Done():
				return
			}
		}
		if more == "" {
			return
		}
		next = more
	}
}
