package bridge

import (
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// A conversation is how the plan of one request went: the steps that stand for items, how
// each ended, and what no step was made for.
type conversation struct {
	steps   []protocol.Step
	replies []bus.Reply // one for each step
	errors  []protocol.ItemError
	effort  effort
	address string // the meter that answered, else the one that was asked
}

// hold waits for the report of a plan whose steps the bus has accepted, and runs what the
// plan makes of the answers, until nothing is left.
func (b *Bridge) hold(r *request, plan protocol.Plan, wait <-chan bus.Report) conversation {
	c := conversation{address: plan.Address}
	for {
		c.errors = append(c.errors, plan.Errors...)
		answers := make([]protocol.Answer, len(plan.Steps))
		if wait != nil {
			report := <-wait
			c.effort.add(report)
			for i, step := range plan.Steps {
				answers[i] = report.Replies[i].Answer
				if address := answers[i].Result.Address; address != "" {
					c.address = address
				}
				if len(step.Items) > 0 {
					c.steps = append(c.steps, step)
					c.replies = append(c.replies, report.Replies[i])
				}
			}
		}
		if plan.Then == nil {
			return c
		}
		next, err := plan.Then(answers)
		if err == nil {
			plan, wait = next, nil
			if len(plan.Steps) == 0 {
				continue
			}
			wait, err = b.bus.Submit(bus.Job{Steps: plan.Steps, Deadline: r.deadline, Continued: true})
		}
		if err != nil {
			for _, item := range r.items {
				c.errors = append(c.errors, protocol.ItemError{Item: item, Err: err})
			}
			return c
		}
	}
}
