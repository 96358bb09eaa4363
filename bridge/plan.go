package bridge

import (
	"errors"
	"slices"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// An account is how the plan of one request went: the steps that stand for items, and
// what no step was made for.
type account struct {
	outcomes []meters.Outcome
	errors   []protocol.ItemError
	effort   effort
	address  protocol.Address  // the meter that answered, else the one that was asked
	report   *protocol.Report  // of a command
	history  *protocol.History // of a read of what is stored
	err      error             // why the plan was not followed to its end
	acted    bool              // what was to change something has reached the wire
}

// silent reports whether the last step that was sent got no answer. Earlier steps do not count: they
// may ask for what this meter ignores.
func (c *account) silent() bool {
	for _, o := range slices.Backward(c.outcomes) {
		if !o.Cached {
			return errors.Is(o.Err, protocol.ErrSilent)
		}
	}
	return false
}

// passing reports whether something failed for a reason that may pass. An answer that was sound, and yet cannot
// be read, will be the same the next time.
func (c *account) passing() bool {
	passing := func(err error) bool {
		return slices.ContainsFunc([]error{protocol.ErrSilent, protocol.ErrGarbled, bus.ErrBusy, bus.ErrDown}, func(target error) bool {
			return errors.Is(err, target)
		})
	}
	return passing(c.err) || slices.ContainsFunc(c.outcomes, func(o meters.Outcome) bool { return passing(o.Err) && !o.Unreadable })
}

// A pending plan waits for the bus, as far as the cache did not know enough.
type pending struct {
	plan     protocol.Plan
	outcomes []meters.Outcome // one for each step; those from the cache are complete
	report   <-chan bus.Report
	asked    time.Time
}

// begin looks a plan's steps up in the cache and submits the others to the bus, to be begun
// before the deadline of the turn. continued says that an earlier plan of the same request was admitted.
func (b *Bridge) begin(t *turn, plan protocol.Plan, continued bool) (pending, error) {
	p := pending{plan: plan, outcomes: make([]meters.Outcome, len(plan.Steps)), asked: time.Now()}
	var rest []protocol.Step
	meters.SetMode(plan.Steps, t.mode)
	for i, step := range plan.Steps {
		p.outcomes[i].Step = step
		if result, moment, ok := b.cache.get(&step, t.maxAge); ok {
			p.outcomes[i].Result, p.outcomes[i].Time, p.outcomes[i].Cached = result, moment, true
			continue
		}
		rest = append(rest, step)
	}
	if len(rest) == 0 {
		return p, nil
	}
	job := bus.Job{Steps: rest, Deadline: t.deadline, Continued: continued, Stranger: t.stranger}
	if !plan.Until.IsZero() {
		until := p.asked.Add(plan.Until.Sub(p.asked)) // by the monotonic clock as well
		if t.deadline.IsZero() || until.Before(t.deadline) {
			job.Deadline = until
		}
	}
	if plan.Level != "" {
		of := guarded{plan.Address.MeterKey, plan.Level}
		for i := range rest {
			if rest[i].IsCommand() {
				b.guard.noteAnswers(&rest[i], of)
			}
		}
		job.May = func() error { return b.guard.check(of) }
	}
	var err error
	p.report, err = b.bus.Submit(job)
	return p, err
}

// seeThrough sees a plan through that has begun: it waits for the bus, and goes on with what the
// plan makes of the answers until nothing is left.
func (b *Bridge) seeThrough(t *turn, p pending) account {
	c := account{address: p.plan.Address}
	for {
		if p.plan.Report != nil {
			c.report = p.plan.Report
		}
		if p.plan.History != nil {
			c.history = p.plan.History
		}
		if p.report != nil {
			report := <-p.report
			c.effort.add(report)
			c.acted = b.record(&p, report.Replies) || c.acted
		}
		var answers []protocol.Answer
		for _, o := range p.outcomes {
			answers = append(answers, o.Answer)
			if !o.Result.Address.IsZero() {
				c.address = o.Result.Address
			}
		}
		c.outcomes = append(c.outcomes, p.outcomes...)
		c.errors = append(c.errors, p.plan.Errors...)
		if p.plan.Then == nil {
			return c
		}
		plan, err := p.plan.Then(answers)
		if err == nil {
			err = b.pause(plan.After)
		}
		if err == nil {
			if c.acted { // the time to live of a command bounds its beginning, not the look at what it did
				t.deadline = time.Now().Add(commandTTL)
			}
			if p.plan.Prelude && t.patient { // what must be looked at first may take longer than a command waits for its turn
				t.deadline = time.Now().Add(commandTTL)
			}
			if t.long && t.patient { // a history takes as long as it takes, while its turns come
				t.deadline = time.Now().Add(readTTL)
			}
			p, err = b.begin(t, plan, true)
		}
		if err != nil {
			c.err = err
			items := slices.Clone(t.items)
			for _, step := range plan.Steps {
				items = append(items, step.Items...)
			}
			for _, item := range items {
				c.errors = append(c.errors, protocol.ItemError{Item: item, Err: err})
			}
			return c
		}
	}
}

// record completes the outcomes of a plan by what the bus has replied, and keeps what that tells of
// the meter. It returns whether a step has reached the wire that was to change something.
func (b *Bridge) record(p *pending, replies []bus.Reply) (acted bool) {
	now := time.Now()
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if o.Cached {
			continue
		}
		o.Reply, o.Time, replies = replies[0], now, replies[1:]
		if !o.Came.IsZero() { // other work may have gone between this step and the last one
			o.Time = o.Came
		}
		switch {
		case o.Step.IsCommand() && o.Started:
			b.cache.forget(p.plan.Address, now)
			if o.Class != protocol.ClassRelay { // which sets no clock
				b.clocks.forget(p.plan.Address, now)
			}
			acted = true
		case o.Err == nil && !p.plan.Address.Shared:
			b.cache.put(&o.Step, o.Result, p.asked, o.Time)
		}
		b.clocks.learn(o)
	}
	b.keeper.Observe(p.outcomes)
	return acted
}

// pause waits, unless the bridge stops.
func (b *Bridge) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b.stopping:
		return bus.ErrStopping
	}
}
