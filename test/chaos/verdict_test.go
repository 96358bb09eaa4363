//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"
)

// The moments of these tests are seconds after this one.
var zero = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

func second(n float64) time.Time { return zero.Add(time.Duration(n * float64(time.Second))) }

// counts is a verdict in numbers.
func counts(v *verdict) string {
	return fmt.Sprintf("wrong %d, lost %d, doubled %d, twice %d, denied %d; unreached %d, died %d, stopped %d, cut %d, again %d, unheard %d",
		len(v.wrong), len(v.lost), len(v.doubled), len(v.twice), len(v.denied), v.unreached, v.died, v.stopped, v.cut, v.again, v.unheard)
}

// TestVerdict plants every failure that the chaos is there to find, and every loss that is
// nobody's fault.
func TestVerdict(t *testing.T) {
	verified := &bridgeReply{OK: true, Result: "verified"}
	refused := &bridgeReply{Result: "refused"}
	unknown := &bridgeReply{Result: "unknown"}
	for _, test := range []struct {
		name      string
		disturbed []disturbance
		plant     func(e *entry, one, two *connection) []deed // two is a session of the same run
		want      verdict
	}{
		{
			name: "all well",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: verified}}
				e.arrivals = 1
				return []deed{{e.site, e.meter, e.mark, second(0.5)}}
			},
		},
		{
			name: "no reply",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				return nil
			},
			want: verdict{lost: make([]string, 1)},
		},
		{
			name: "one reply to two messages",
			plant: func(e *entry, one, _ *connection) []deed {
				e.accepted = append(e.accepted, second(0))
				e.deliveries = []*delivery{{one, second(0), second(0.1)}, {one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: unknown}}
				e.arrivals = 1
				return nil
			},
			want: verdict{lost: make([]string, 1)},
		},
		{
			name: "no reply of a bridge that was killed",
			plant: func(e *entry, one, _ *connection) []deed {
				one.run.killed, one.run.ended, one.ended = true, second(1), second(1)
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				return nil
			},
			want: verdict{died: 1},
		},
		{
			name: "no reply of a bridge that was stopped",
			plant: func(e *entry, one, _ *connection) []deed {
				one.run.ended, one.ended = second(1), second(1)
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				return nil
			},
			want: verdict{lost: make([]string, 1)},
		},
		{
			name:      "no reply of a bridge that was stopped without a broker",
			disturbed: []disturbance{{"broker", second(0.5), second(9)}},
			plant: func(e *entry, one, _ *connection) []deed {
				one.run.ended, one.ended = second(1), second(1)
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				return nil
			},
			want: verdict{stopped: 1},
		},
		{
			name: "not acknowledged by the bridge",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{session: one, at: second(0)}}
				return nil
			},
			want: verdict{lost: make([]string, 1)},
		},
		{
			name: "not acknowledged, but the connection ended",
			plant: func(e *entry, one, _ *connection) []deed {
				one.ended = second(0.2)
				e.deliveries = []*delivery{{session: one, at: second(0)}}
				return nil
			},
			want: verdict{cut: 1},
		},
		{
			name:  "not passed on by the broker",
			plant: func(*entry, *connection, *connection) []deed { return nil },
			want:  verdict{lost: make([]string, 1)},
		},
		{
			name:  "not passed on, but no bridge was there",
			plant: func(_ *entry, one, _ *connection) []deed { one.subscribed = time.Time{}; return nil },
			want:  verdict{unreached: 1},
		},
		{
			name: "two replies over one connection",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: unknown}, {session: one, at: second(2), acked: second(2), bridgeReply: unknown}}
				e.arrivals = 2
				return nil
			},
			want: verdict{doubled: make([]string, 1)},
		},
		{
			name: "sent again since the acknowledgement did not come",
			plant: func(e *entry, one, two *connection) []deed {
				one.ended = second(1.5)
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), bridgeReply: unknown}, {session: two, at: second(2), acked: second(2), bridgeReply: unknown}}
				e.arrivals = 2
				return nil
			},
			want: verdict{again: 1},
		},
		{
			name: "sent again though the acknowledgement was read",
			plant: func(e *entry, one, two *connection) []deed {
				one.ended, one.read = second(1.5), 8
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), ackedAt: 7, bridgeReply: unknown}, {session: two, at: second(2), acked: second(2), bridgeReply: unknown}}
				e.arrivals = 2
				return nil
			},
			want: verdict{doubled: make([]string, 1)},
		},
		{
			name: "lost between broker and client",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: unknown}}
				return nil
			},
			want: verdict{lost: make([]string, 1)},
		},
		{
			name:      "lost while the client was away",
			disturbed: []disturbance{{"anna", second(2), second(3)}},
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: unknown}}
				return nil
			},
			want: verdict{unheard: 1},
		},
		{
			name: "carried out twice",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: verified}}
				e.arrivals = 1
				return []deed{{e.site, e.meter, e.mark, second(0.5)}, {e.site, e.meter, e.mark, second(0.7)}}
			},
			want: verdict{twice: make([]string, 1)},
		},
		{
			name: "carried out twice by two lives of the bridge",
			plant: func(e *entry, one, _ *connection) []deed {
				one.run.killed, one.run.ended, one.ended = true, second(1), second(1)
				next := &connection{run: &run{number: 2}}
				e.accepted = append(e.accepted, second(2))
				e.deliveries = []*delivery{{one, second(0), second(0.1)}, {next, second(2), second(2)}}
				e.answers = []*answer{{session: next, at: second(3), acked: second(3), bridgeReply: verified}}
				e.arrivals = 1
				return []deed{{e.site, e.meter, e.mark, second(0.5)}, {e.site, e.meter, e.mark, second(2.5)}}
			},
			want: verdict{died: 1},
		},
		{
			name: "carried out though nobody asked",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: unknown}}
				e.arrivals = 1
				return []deed{{e.site, e.meter, "another mark", second(0.5)}}
			},
			want: verdict{twice: make([]string, 1)},
		},
		{
			name: "claimed, not done",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: verified}}
				e.arrivals = 1
				return nil
			},
			want: verdict{denied: make([]string, 1)},
		},
		{
			name: "done, yet denied",
			plant: func(e *entry, one, _ *connection) []deed {
				e.deliveries = []*delivery{{one, second(0), second(0.1)}}
				e.answers = []*answer{{session: one, at: second(1), acked: second(1), bridgeReply: refused}}
				e.arrivals = 1
				return []deed{{e.site, e.meter, e.mark, second(0.5)}}
			},
			want: verdict{denied: make([]string, 1)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := &run{number: 1, begun: second(-100)}
			one, two := &connection{run: run, subscribed: second(-90)}, &connection{run: run, subscribed: second(1.6)}
			s := &site{name: "tcp", sessions: []*connection{one, two}}
			e := &entry{
				key: "1", site: s, user: "anna", tail: "relay/main", meter: "000000000001", mark: "relay 1A",
				asked: second(-0.1), accepted: []time.Time{second(0)},
			}
			l := newLedger()
			l.order = []*entry{e}
			l.deeds = test.plant(e, one, two)
			line := &timeline{}
			for _, s := range test.disturbed {
				line.spans = append(line.spans, &s)
			}
			got := l.verdict(line.calm)
			if counts(got) != counts(&test.want) {
				t.Errorf("%s\nwant %s\n%v", counts(got), counts(&test.want), append(append(got.lost, got.doubled...), append(got.twice, got.denied...)...))
			}
			wanted := test.want.lost != nil || test.want.doubled != nil || test.want.twice != nil || test.want.denied != nil
			if got.failed() != wanted {
				t.Errorf("failed is %t", got.failed())
			}
		})
	}
}
