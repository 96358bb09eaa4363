package uplink

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"dlt645-mqtt/uplink/dialect"
)

const (
	// A post under which, alone, so many connections have ended is under suspicion: others go first. It is
	// given up if it ends one more, and the cloud has taken something else meanwhile.
	suspicious = 2

	// So many posts under suspicion, and none is divided any more while the cloud takes nothing.
	mostSuspects = 16

	// How long values are kept back that the cloud refuses, or at which it ends the connection, although it
	// takes others. Then they are tried again: what was wrong may have been put right.
	refusedPause   = 10 * time.Minute
	poisonousPause = time.Hour

	// A device of which so many values are refused is kept back as a whole.
	mostSuspended = 4

	// A post that is refused is tried in parts so often in a row, and once more each half minute: messages
	// cost money.
	mostSplits = 48
	splitPause = 30 * time.Second

	tellPause = time.Hour // before a device is announced again that ends connections
	tellMost  = 50        // devices that are announced together
)

// A quarantine keeps posts and devices apart at which a cloud ends the connection: what is innocent flows, what
// is not is given up, and a cloud that ends the connection at everything loses nothing.
type quarantine struct {
	suspects []*parcel // in order; the letters that they were made of are not acknowledged
	trial    bool      // this connection tries a suspect first, unless the cloud has taken something else

	splits    *rate.Limiter
	suspended map[*dialect.Device]map[string]*suspension // by key
	accused   map[*dialect.Device]*accusation
}

// A suspension keeps a value back.
type suspension struct {
	refused int       // times in a row
	until   time.Time // zero: it goes out
}

// An accusation counts connections that have ended while a device was announced.
type accusation struct {
	killed int
	until  time.Time // it is not announced before
}

func newQuarantine() quarantine {
	return quarantine{
		splits: rate.NewLimiter(rate.Every(splitPause), mostSplits), suspended: map[*dialect.Device]map[string]*suspension{}, accused: map[*dialect.Device]*accusation{},
	}
}

// maySplit reports whether a post that was refused is to be tried in parts.
func (q *quarantine) maySplit(p dialect.Post) bool { return p.Split != nil && q.splits.Allow() }

// accuse notes that a connection has ended under a post.
func (f *flow) accuse(p *parcel) {
	if p.killed++; p.killed == 1 {
		p.since = f.taken
	}
	f.cloud.ended.Add(1)
	f.log.Warn("the cloud has ended the connection at a message; it is tried again", "topic", p.Topic, "bytes", len(p.Payload), "values", len(p.Readings), "times", p.killed)
}

// doubt returns a suspect, or its parts: one of them may be innocent, and show that the cloud takes anything at
// all. There are bounds to it, for a cloud that takes nothing.
func (q *quarantine) doubt(p *parcel) []*parcel {
	if p.Split == nil || len(q.suspects) >= mostSuspects {
		return []*parcel{p}
	}
	return p.parts()
}

// convict decides what becomes of a suspect under which one more connection has ended, over which the cloud has
// taken others: its parts, if it has any, are tried in its place; what cannot be divided is given up.
func (f *flow) convict(p *parcel) []*parcel {
	if p.Split != nil {
		return p.parts()
	}
	key := onlyKey(p.Post)
	f.metrics.refused(key, "disconnect")
	f.log.Error("the cloud ends the connection at a message each time; it is given up", "topic", p.Topic, "bytes", len(p.Payload), "key", key, "values", len(p.Readings))
	f.refuseValue(p.Post, true)
	return nil
}

// refuseValue notes that the value of a post was refused, if it has only one; at the second time in a row, or at once
// if the connection ended, it is kept back for a while.
func (q *quarantine) refuseValue(p dialect.Post, ended bool) {
	if len(p.Readings) != 1 || p.Readings[0].Device == nil {
		return
	}
	r := p.Readings[0]
	keys := q.suspended[r.Device]
	if keys == nil {
		keys = map[string]*suspension{}
		q.suspended[r.Device] = keys
	}
	of := keys[r.Key]
	if of == nil {
		of = &suspension{}
		keys[r.Key] = of
	}
	switch of.refused++; {
	case ended:
		of.until = time.Now().Add(poisonousPause)
	case of.refused > 1:
		of.until = time.Now().Add(refusedPause)
	}
}

// clear notes that the cloud has taken the values of a post.
func (q *quarantine) clear(p dialect.Post) {
	if len(q.suspended) == 0 {
		return
	}
	for _, r := range p.Readings {
		delete(q.suspended[r.Device], r.Key)
	}
}

// known returns readings without those that are kept back, which count as refused.
func (f *flow) known(readings []dialect.Reading) []dialect.Reading {
	if len(f.suspended) == 0 {
		return readings
	}
	now := time.Now()
	var pass []dialect.Reading
	for _, r := range readings {
		if r.Device == nil || !f.isSuspended(r.Device, r.Key, now) {
			pass = append(pass, r)
			continue
		}
		f.metrics.refused(r.Key, "kept_back")
	}
	return pass
}

func (q *quarantine) isSuspended(device *dialect.Device, key string, now time.Time) bool {
	inForce, own := 0, false
	for k, of := range q.suspended[device] {
		if now.Before(of.until) {
			inForce++
			own = own || k == key
		}
	}
	return own || inForce >= mostSuspended
}

// groups cuts devices into groups that are announced together. Those that were announced when connections ended
// come last, each alone, and the worst at the end.
func (q *quarantine) groups(devices []*dialect.Device) (all [][]*dialect.Device) {
	var innocent, accused []*dialect.Device
	for _, d := range devices {
		switch a := q.accused[d]; {
		case a == nil || a.killed < suspicious && a.until.IsZero():
			innocent = append(innocent, d)
		case time.Now().After(a.until):
			accused = append(accused, d)
		}
	}
	for part := range slices.Chunk(innocent, tellMost) {
		all = append(all, part)
	}
	slices.SortStableFunc(accused, func(a, b *dialect.Device) int { return q.accused[a].killed - q.accused[b].killed })
	for _, d := range accused {
		all = append(all, []*dialect.Device{d})
	}
	return all
}

// noteTold notes whether the connection has ended while these devices were announced. others says whether
// something else was taken over it.
func (f *flow) noteTold(group []*dialect.Device, lost, others bool) {
	if lost {
		f.cloud.ended.Add(1)
	}
	for _, d := range group {
		if !lost {
			delete(f.accused, d)
			continue
		}
		a := f.accused[d]
		if a == nil {
			a = &accusation{}
			f.accused[d] = a
		}
		a.killed++
		if len(group) == 1 && a.killed > suspicious && (others || len(f.accused) == 1) {
			a.until = time.Now().Add(tellPause)
			f.metrics.refused("", "disconnect")
			f.log.Error("the cloud ends the connection when a device is announced; it is not announced for an hour", "device", d.Name, "meter", d.Meter)
		}
	}
}
