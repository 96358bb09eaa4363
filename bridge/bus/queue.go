package bus

import (
	"container/list"
	"time"

	"dlt645-mqtt/protocol"
)

// backgroundShare is the part of what goes over the wire that is left to the background while
// reads flood: one step in so many. The scan has the same share beside the polls, reads have it
// beside commands, commands beside relay steps, and the next frame of a long read beside relay
// steps of other meters, so that nobody who floods one class starves another.
const backgroundShare = 20

// clockStep is by how much the wall clock must be off the monotonic one to have been set: less is
// what the service that disciplines it does all the time.
const clockStep = 100 * time.Millisecond

// downPatience is how long a task without a deadline waits for a port that is missing.
const downPatience = time.Minute

// A task is an admitted job. Its fields belong to whoever holds Bus.mu, except that the steps
// never change.
type task struct {
	job     Job
	queued  time.Time
	command bool // has a place among the commands
	trial   bool // nobody waits for it: it probes an offline meter
	report  chan Report

	replies  []Reply
	answered []bool
	open     int // steps not answered yet
	next     int // the first of them, whose turn it is
	steps    int // as in Report
	wire     time.Duration

	running bool       // on the wire now, or rides with a task that is
	began   bool       // the step whose turn it is has been on the wire before the port broke
	breaks  int        // how often the port broke under that step
	frames  []Transfer // what went and came for it until then

	lane  *lane
	place *list.Element // in lane.tasks
}

// newTask makes a task of a job.
func newTask(job Job) *task {
	return &task{
		job:      job,
		queued:   time.Now(),
		command:  len(job.Steps) > 0 && class(&job.Steps[0]) <= protocol.ClassCommand,
		report:   make(chan Report, 1),
		replies:  make([]Reply, len(job.Steps)),
		answered: make([]bool, len(job.Steps)),
		open:     len(job.Steps),
	}
}

// step returns the step whose turn it is.
func (t *task) step() *protocol.Step { return &t.job.Steps[t.next] }

// meter returns the meter with which the task has its turn; zero: with all strangers.
func (t *task) meter() protocol.MeterKey {
	if t.job.Stranger {
		return protocol.MeterKey{}
	}
	return t.step().Meter
}

// beginsCommand reports whether a task is the first part of a command, if only to look before anything is changed.
func (t *task) beginsCommand() bool { return t.command && !t.trial && !t.job.Continued }

// expires returns when the task is to be given up; zero: never. down is since when the port
// has been missing, zero if it is there.
func (t *task) expires(down time.Time) time.Time {
	if !t.job.Deadline.IsZero() || down.IsZero() {
		return t.job.Deadline
	}
	if t.queued.After(down) {
		down = t.queued
	}
	return down.Add(downPatience)
}

// A lane holds the tasks of one class whose next step goes to one meter, oldest first.
type lane struct {
	class protocol.Class
	meter protocol.MeterKey // as in task.meter
	tasks list.List
	place *list.Element // in ring.turns
	since uint64        // of ring.events: when it came to the end of the ring
}

// A ring holds the lanes of one class; the one whose turn is next comes first.
type ring struct {
	turns  list.List
	events uint64                       // turns, and lanes that came
	served map[protocol.MeterKey]uint64 // of events: when a meter had its last turn, since the ring was empty
	lanes  map[protocol.MeterKey]*lane
}

// A queue holds the tasks that wait. It is guarded by Bus.mu.
type queue struct {
	rings [protocol.Classes]ring
	equal map[string]map[*task]struct{} // by the Key of steps not answered

	jobs, steps, commands int // that have a place

	relays int // served in a row while commands waited
	urgent int // relay steps and commands served in a row while others waited
	reads  int // served in a row while the background waited
	polls  int // served in a row while the scan waited

	// sweep is the earliest time at which a task can expire; zero: none will. swept is how far the
	// wall clock was ahead of the monotonic one when the queue was looked through last: where it has
	// been set since, the order in which tasks expire is another one.
	sweep time.Time
	swept time.Duration
	began time.Time // when the queue was first looked through
}

func (q *queue) len() int { return q.jobs + q.commands }

// class returns the class under which a step waits.
func class(step *protocol.Step) protocol.Class {
	return min(step.Class, protocol.ClassScan)
}

// add gives a new task its place. It expires at that time; zero: never.
func (q *queue) add(t *task, expires time.Time) {
	if t.command {
		q.commands++
	} else {
		q.jobs++
		q.steps += t.open
	}
	if q.equal == nil {
		q.equal = make(map[string]map[*task]struct{})
	}
	for i := range t.job.Steps {
		if key := t.job.Steps[i].Key; key != "" {
			if q.equal[key] == nil {
				q.equal[key] = make(map[*task]struct{})
			}
			q.equal[key][t] = struct{}{}
		}
	}
	if !expires.IsZero() && (q.sweep.IsZero() || left(expires, t.queued) < left(q.sweep, t.queued)) {
		q.sweep = expires
	}
	q.enter(t)
}

// enter puts a task into the lane of the step whose turn it is, at the end unless it is there.
func (q *queue) enter(t *task) {
	class, meter := class(t.step()), t.meter()
	if t.lane != nil {
		if t.lane.class == class && t.lane.meter == meter {
			return
		}
		q.leave(t)
	}
	r := &q.rings[class]
	if r.lanes == nil {
		r.lanes = make(map[protocol.MeterKey]*lane)
	}
	l := r.lanes[meter]
	if l == nil {
		r.events++
		l = &lane{class: class, meter: meter, since: r.events}
		l.place = r.turns.PushBack(l)
		r.lanes[meter] = l
	}
	t.lane, t.place = l, l.tasks.PushBack(t)
}

// leave takes a task out of its lane.
func (q *queue) leave(t *task) {
	l := t.lane
	l.tasks.Remove(t.place)
	if l.tasks.Len() == 0 {
		r := &q.rings[l.class]
		r.turns.Remove(l.place)
		delete(r.lanes, l.meter)
		if r.turns.Len() == 0 {
			clear(r.served)
		}
	}
	t.lane, t.place = nil, nil
}

// choose returns the task whose turn it is among those that may go, or nil.
//
// suits reports whether a task goes without another mode of the line.
func (q *queue) choose(may, suits func(*task) bool) *task {
	order := [protocol.Classes]protocol.Class{
		protocol.ClassRelay, protocol.ClassCommand, protocol.ClassRead, protocol.ClassPoll, protocol.ClassScan,
	}
	if q.polls >= backgroundShare-1 {
		order[3], order[4] = order[4], order[3]
	}
	if q.reads >= backgroundShare-1 {
		order[2], order[3], order[4] = order[3], order[4], order[2]
	}
	if q.relays >= backgroundShare-1 {
		order[0], order[1] = order[1], order[0]
	}
	if q.urgent >= backgroundShare-1 {
		order = [...]protocol.Class{order[2], order[3], order[4], order[0], order[1]}
	}
	for _, class := range order {
		prefer := suits
		if class <= protocol.ClassCommand { // these keep their order
			prefer = nil
		}
		t := q.rings[class].choose(may, prefer)
		if t == nil {
			continue
		}
		q.count(class)
		return t
	}
	return nil
}

// count keeps the shares of the background.
func (q *queue) count(class protocol.Class) {
	scan := q.rings[protocol.ClassScan].turns.Len() > 0
	background := scan || q.rings[protocol.ClassPoll].turns.Len() > 0
	if class < protocol.ClassRead {
		switch {
		case class == protocol.ClassCommand:
			q.relays = 0
		case q.rings[protocol.ClassCommand].turns.Len() > 0:
			q.relays++
		}
		if background || q.rings[protocol.ClassRead].turns.Len() > 0 {
			q.urgent++
		}
		return
	}
	q.urgent = 0
	switch {
	case class == protocol.ClassRead && background:
		q.reads++
	case class == protocol.ClassPoll && scan:
		q.reads = 0
		q.polls++
	case class == protocol.ClassScan:
		q.reads, q.polls = 0, 0
	default:
		q.reads = 0
	}
}

// choose returns the first task that may go of the meter whose turn it is. If the line must be set anew for that one, a meter
// goes before it that suits and has had no turn since the other one waits: between two turns of a meter no other has
// more than one. suits may be nil: all do.
func (r *ring) choose(may, suits func(*task) bool) *task {
	var next *task
	var since uint64
	for e := r.turns.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lane)
		t := l.first(may)
		switch {
		case t == nil:
		case next == nil && (suits == nil || suits(t)):
			return t
		case next == nil:
			next, since = t, l.since
		case r.served[l.meter] < since && suits(t):
			return t
		}
	}
	return next
}

// first returns the oldest task that may go, or nil.
func (l *lane) first(may func(*task) bool) *task {
	for p := l.tasks.Front(); p != nil; p = p.Next() {
		if t := p.Value.(*task); may(t) {
			return t
		}
	}
	return nil
}

// rotate lets the meter of t, which has had its turn, wait for the others of its class.
func (q *queue) rotate(t *task) {
	r := &q.rings[t.lane.class]
	r.turns.MoveToBack(t.lane.place)
	r.events++
	t.lane.since = r.events
	if r.served == nil || len(r.served) >= mostMeters {
		r.served = make(map[protocol.MeterKey]uint64)
	}
	r.served[t.lane.meter] = r.events
}

// A rider is a step that gets the answer of an equal one.
type rider struct {
	task *task
	step int
}

// riders returns the steps that wait for what the step whose turn it is in t will bring.
// A later step of a task rides only if nothing but shared reads goes before it: what is
// read after a command must not be answered from before it.
func (q *queue) riders(t *task) []rider {
	key := t.step().Key
	if key == "" {
		return nil
	}
	var found []rider
	for other := range q.equal[key] {
		if other != t && other.running {
			continue
		}
		for i := other.next; i < len(other.job.Steps); i++ {
			if other.answered[i] {
				continue
			}
			step := &other.job.Steps[i]
			if step.Key == "" {
				break
			}
			if step.Key == key && step.Meter == t.step().Meter && step.Mode == t.step().Mode && (other != t || i != t.next) {
				found = append(found, rider{other, i})
			}
		}
	}
	return found
}

// answer gives a step its reply, and the task its report if that was the last one.
func (q *queue) answer(t *task, i int, reply Reply) {
	if t.answered[i] {
		return
	}
	t.replies[i], t.answered[i] = reply, true
	t.open--
	if !t.command {
		q.steps--
	}
	if i == t.next {
		t.began, t.breaks, t.frames = false, 0, nil
	}
	if t.open > 0 {
		for t.answered[t.next] {
			t.next++
		}
		q.enter(t)
		return
	}

	q.leave(t)
	if t.command {
		q.commands--
	} else {
		q.jobs--
	}
	for i := range t.job.Steps {
		if key := t.job.Steps[i].Key; key != "" {
			delete(q.equal[key], t)
			if len(q.equal[key]) == 0 {
				delete(q.equal, key)
			}
		}
	}
	t.report <- Report{
		Replies: t.replies,
		Queued:  max(0, time.Since(t.queued)-t.wire),
		Wire:    t.wire,
		Steps:   t.steps,
	}
}

// fail answers what is left of a task for one meter, or for all if meter is zero.
func (q *queue) fail(t *task, meter protocol.MeterKey, err error) {
	for i := range t.job.Steps {
		if !t.answered[i] && (meter == (protocol.MeterKey{}) || meter == t.job.Steps[i].Meter) {
			reply := Reply{}
			if i == t.next {
				reply.Started, reply.Frames = t.began, t.frames
			}
			reply.Err = err
			q.answer(t, i, reply)
		}
	}
}

// commandsOf returns how many commands wait for a meter, so that one that everybody wants to
// switch leaves places for the others.
func (q *queue) commandsOf(meter protocol.MeterKey) (n int) {
	for _, class := range []protocol.Class{protocol.ClassRelay, protocol.ClassCommand} {
		if l := q.rings[class].lanes[meter]; l != nil {
			n += l.tasks.Len()
		}
	}
	return n
}

// tasksOf returns how many tasks wait with the turn of a meter, commands aside.
func (q *queue) tasksOf(meter protocol.MeterKey) (n int) {
	for class := protocol.ClassRead; class < protocol.Classes; class++ {
		if l := q.rings[class].lanes[meter]; l != nil {
			n += l.tasks.Len()
		}
	}
	return n
}

// all returns every task that waits.
func (q *queue) all() []*task {
	var tasks []*task
	for c := range q.rings {
		for e := q.rings[c].turns.Front(); e != nil; e = e.Next() {
			for p := e.Value.(*lane).tasks.Front(); p != nil; p = p.Next() {
				tasks = append(tasks, p.Value.(*task))
			}
		}
	}
	return tasks
}

// clockWasSet reports whether the wall clock has been set since it was asked last, or the machine
// has slept.
func (q *queue) clockWasSet(now time.Time) bool {
	if q.began.IsZero() {
		q.began = now
	}
	ahead := now.Round(0).Sub(q.began.Round(0)) - now.Sub(q.began)
	set := (ahead - q.swept).Abs() > clockStep
	if set {
		q.swept = ahead
	}
	return set
}

// expire answers the tasks whose time is over with err. down is as in task.expires.
func (q *queue) expire(now, down time.Time, err error) {
	set := q.clockWasSet(now)
	if q.sweep.IsZero() || !set && !Over(q.sweep, now) {
		return
	}
	q.sweep = time.Time{}
	for _, t := range q.all() {
		at := t.expires(down)
		switch {
		case at.IsZero():
		case Over(at, now) && !t.running:
			q.fail(t, protocol.MeterKey{}, err)
		case q.sweep.IsZero() || left(at, now) < left(q.sweep, now):
			q.sweep = at
		}
	}
}
