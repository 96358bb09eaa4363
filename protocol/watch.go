package protocol

import "time"

// A Watch looks whether a command has had an effect that takes its time: whether a relay or a valve
// has moved. It looks at the times given until it has, or until mostMissed looks in a row bring nothing.
type Watch struct {
	Times []time.Duration // when to look, counted from the answer to the command

	// Looks make a step that looks, the best first. A meter that refuses one is asked by the next.
	Looks []func() Step

	Plan   func(steps ...Step) Plan // makes a plan of steps
	See    func(Answer) Sight       // reads the answer to a look
	Report func(Watched) Report     // says in words what the looks have shown

	Watched
	since  time.Time     // when the command was answered; zero: it was not
	at     time.Duration // of the latest look
	missed int           // looks in a row that were not answered
}

// Watched is what a Watch has seen so far.
type Watched struct {
	Sight
	Lost   bool  // the command was not answered
	Failed error // why the latest look brought nothing
}

// Report reports what the looks so far have shown of something that everybody can see move. The sentences are what
// there is to be said if it was looked at after a command that was not answered, if it could not be, and if the meter
// took the command but nothing has moved yet.
func (w *Watched) Report(seen, unseen, unmoved string) (r Report) {
	r.Readable = w.State != ""
	switch {
	case w.Lost && r.Readable:
		r.Note = seen
	case w.Lost:
		r.Note = unseen
	case w.AsCommanded:
		r.Verified = true
	case r.Readable:
		r.Pending, r.Note = true, unmoved
	case w.Failed != nil:
		r.Note = "The meter took the command; what became of it could not be read back: " + w.Failed.Error() + "."
	}
	return r
}

// A Sight is what one look has shown.
type Sight struct {
	State       string // "open" or "closed"; empty: the answer does not tell
	AsCommanded bool
	Enough      bool // there is nothing more to be seen, though it is not as commanded
}

const (
	// mostMissed is how many looks in a row may go unanswered.
	mostMissed = 2

	// looksAfterSilence is how often a Watch looks after a command that was not answered.
	looksAfterSilence = 2
)

// LookTimes returns when to look whether a relay has moved: at 0.3, 1, 2, 4, 8 … seconds after the command was answered, as
// long as that is within the time given for it.
func LookTimes(within time.Duration) (times []time.Duration) {
	for at := 300 * time.Millisecond; at <= within; {
		times = append(times, at)
		if at *= 2; at < time.Second {
			at = time.Second
		}
	}
	return times
}

// Begin plans the first look after a command that the meter has acknowledged or not answered.
func (w Watch) Begin(command Answer) Plan {
	w.since = command.Came
	if EndingOf(command) == Unanswered {
		w.Lost, w.since = true, time.Time{}
		w.Times = w.Times[:min(len(w.Times), looksAfterSilence)]
	}
	return w.next()
}

// next plans the next look, if there is one to come.
func (w Watch) next() Plan {
	if len(w.Times) == 0 || w.AsCommanded || w.Enough || w.missed == mostMissed {
		return w.Plan().Reporting(w.report())
	}
	plan := w.Plan(w.Looks[0]()).Reporting(w.report())
	plan.After = max(0, w.Times[0]-w.at)
	plan.Then = func(answers []Answer) (Plan, error) { return w.after(answers[0]).next(), nil }
	return plan
}

// report reports what the looks so far have shown. Where nobody has looked, as with a verify_ms of 0, nothing says that it
// could not be done.
func (w Watch) report() Report {
	r := w.Report(w.Watched)
	if w.Lost && w.at == 0 {
		r.Note = ""
	}
	return r
}

// after takes in the answer to a look. Looks whose time has come meanwhile are left out.
func (w Watch) after(look Answer) Watch {
	w.at = w.Times[0]
	if IsRefusal(look.Err) && len(w.Looks) > 1 {
		w.Looks = w.Looks[1:]
		return w
	}
	w.Failed = look.Err
	w.missed++
	if look.Err == nil {
		w.missed = 0
		if !w.since.IsZero() && !look.Came.IsZero() {
			w.at = max(w.at, look.Came.Sub(w.since))
		}
		w.Sight = w.See(look)
	}
	for len(w.Times) > 0 && w.Times[0] <= w.at {
		w.Times = w.Times[1:]
	}
	return w
}
