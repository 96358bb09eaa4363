//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// patience is how long a message may take on a path where nothing was disturbed.
const patience = 20 * time.Second

// A verdict is what the ledger comes to. What is in its first part must not be.
type verdict struct {
	wrong   []string // values and replies that are not true
	lost    []string // taken by a bridge that lived on, and never answered; or lost on an undisturbed way
	doubled []string // answered more often than asked
	twice   []string // commands carried out more often than they may
	denied  []string // replies that do not fit what the meter did

	messages  int // that clients published
	delivered int // of these, that went to a bridge
	taken     int // of these, that the bridge acknowledged
	replies   int // that left a bridge

	unreached int // no bridge or no broker was there for them
	died      int // were with a bridge when it was killed
	stopped   int // were with a bridge when it was stopped without a broker
	cut       int // were on their way to a bridge when the way went
	again     int // replies sent again because the connection ended before their acknowledgement
	unheard   int // replies that the broker, or the way to the client, lost
	heard     int

	longest     time.Duration // from the delivery of a request to the reply
	longestCalm time.Duration // the same where nothing was disturbed meanwhile
}

// A calm reports whether nothing of what is named was disturbed from one time to another.
type calm func(from, to time.Time, what ...string) bool

// verdict is reached when all has been quiet for a while.
func (l *ledger) verdict(calm calm) *verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &verdict{wrong: slices.Clone(l.wrong)}
	for _, e := range l.order {
		v.judge(e, calm)
	}
	l.deedsMu.Lock()
	defer l.deedsMu.Unlock()
	v.judgeDeeds(l.order, l.deeds)
	return v
}

// judge looks at the way of one request.
func (v *verdict) judge(e *entry, calm calm) {
	v.messages += len(e.accepted)
	v.delivered += len(e.deliveries)
	v.replies += len(e.answers)
	v.heard += min(e.arrivals, len(e.answers))
	for _, r := range e.runs() {
		v.judgeRun(e, r, calm)
	}
	for _, d := range e.deliveries {
		switch {
		case !d.taken.IsZero():
			v.taken++
		case d.session.ended.IsZero() && calm(d.at, d.at.Add(patience), e.site.parts()...):
			v.lost = append(v.lost, fmt.Sprintf("the bridge did not acknowledge a request\n%s", e))
		default:
			v.cut++
		}
	}
	if missing := len(e.accepted) - len(e.deliveries); missing > 0 {
		last := e.accepted[len(e.accepted)-1]
		if e.site.connected(last, last.Add(patience)) && calm(last.Add(-patience), last.Add(patience), e.site.parts()...) {
			v.lost = append(v.lost, fmt.Sprintf("%d of %d messages did not get from the broker to the bridge\n%s", missing, len(e.accepted), e))
		} else {
			v.unreached += missing
		}
	}
	if missing := min(len(e.answers), len(e.deliveries)) - e.arrivals; missing > 0 {
		undisturbed := func(a *answer) bool {
			return !a.acked.IsZero() && calm(a.at, a.acked.Add(patience), "broker", e.user, floods)
		}
		if !slices.ContainsFunc(e.answers, func(a *answer) bool { return !undisturbed(a) }) {
			v.lost = append(v.lost, fmt.Sprintf("%d of %d replies did not get from the broker to the client\n%s", missing, len(e.answers), e))
		} else {
			v.unheard += missing
		}
	}
	for i, d := range e.deliveries {
		if i >= len(e.answers) {
			break
		}
		wait := e.answers[i].at.Sub(d.at)
		v.longest = max(v.longest, wait)
		if calm(d.at, e.answers[i].at, e.site.parts()...) {
			v.longestCalm = max(v.longestCalm, wait)
		}
	}
}

// judgeRun compares the replies of one life of the bridge with what it took.
func (v *verdict) judgeRun(e *entry, r *run, calm calm) {
	delivered, taken := 0, 0
	var last time.Time
	for _, d := range e.deliveries {
		if d.session.run != r {
			continue
		}
		delivered++
		last = d.at
		if !d.taken.IsZero() {
			taken++
		}
	}
	replies, again := 0, 0
	for _, a := range e.answers {
		if a.session.run != r {
			continue
		}
		replies++
		if !a.session.ended.IsZero() && !a.known() {
			again++ // maybe
		}
	}
	if excess := replies - delivered; excess > again {
		v.doubled = append(v.doubled, fmt.Sprintf("run %d of the bridge gave %d replies to %d messages\n%s", r.number, replies, delivered, e))
	} else if excess > 0 {
		v.again += excess
	}
	missing := taken - replies
	if missing <= 0 {
		return
	}
	switch {
	case r.killed:
		v.died += missing
	case !r.ended.IsZero() && !calm(last, r.ended, e.site.parts()...):
		v.stopped += missing
	default:
		v.lost = append(v.lost, fmt.Sprintf("run %d of the bridge took %d messages and gave %d replies\n%s", r.number, taken, replies, e))
	}
}

// runs returns the lives of the bridge that had to do with a request.
func (e *entry) runs() (all []*run) {
	add := func(r *run) {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	for _, d := range e.deliveries {
		add(d.session.run)
	}
	for _, a := range e.answers {
		add(a.session.run)
	}
	return all
}

// judgeDeeds compares what meters did with what was asked and what was told. A command may
// run once in each life of the bridge to which its message was delivered.
func (v *verdict) judgeDeeds(entries []*entry, deeds []deed) {
	asked := map[deed][]*entry{} // by all but the time
	for _, e := range entries {
		if e.mark != "" {
			kind := deed{site: e.site, meter: e.meter, mark: e.mark}
			asked[kind] = append(asked[kind], e)
		}
	}
	done := map[*entry]int{}
	for _, d := range deeds {
		kind := d
		kind.at = time.Time{}
		e := latest(asked[kind], d.at)
		if e == nil {
			v.twice = append(v.twice, fmt.Sprintf("meter %s of %s carried out %s at %s, which nobody had asked for", d.meter, d.site.name, d.mark, d.at.Format("15:04:05.000")))
			continue
		}
		done[e]++
	}
	for _, e := range entries {
		if e.mark == "" {
			continue
		}
		n, runs := done[e], map[*run]bool{}
		for _, d := range e.deliveries {
			runs[d.session.run] = true
		}
		if n > len(runs) {
			v.twice = append(v.twice, fmt.Sprintf("meter %s carried out %s %d times in %d lives of the bridge\n%s", e.meter, e.mark, n, len(runs), e))
		}
		successes, denials, dead := map[*run]bool{}, 0, false
		for _, a := range e.answers {
			if a.bridgeReply != nil && a.success() {
				successes[a.session.run] = true
			}
			if a.bridgeReply != nil && a.denial() {
				denials++
			}
		}
		for r := range runs {
			dead = dead || !r.ended.IsZero()
		}
		if len(successes) > n {
			v.denied = append(v.denied, fmt.Sprintf("meter %s carried out %s %d times, and %d lives of the bridge say that it did\n%s", e.meter, e.mark, n, len(successes), e))
		}
		if n > 0 && !dead && denials == len(e.deliveries) {
			v.denied = append(v.denied, fmt.Sprintf("meter %s carried out %s, and each reply says that it was not done\n%s", e.meter, e.mark, e))
		}
	}
}

// latest returns the last of some requests that had been delivered by then.
func latest(entries []*entry, by time.Time) (found *entry) {
	for _, e := range entries {
		if len(e.deliveries) > 0 && !e.deliveries[0].at.After(by) {
			found = e
		}
	}
	return found
}

// failed reports whether anything was found that must not be.
func (v *verdict) failed() bool {
	return len(v.wrong)+len(v.lost)+len(v.doubled)+len(v.twice)+len(v.denied) > 0
}
