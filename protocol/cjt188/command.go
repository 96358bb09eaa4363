package cjt188

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

const actionSyncClock = "sync_clock"

// A commander plans what a request wants done to one meter. No command of the protocol takes a
// password. It goes out once, to the meter's own type, so where that is not known the meter is read
// first.
type commander struct {
	*reader
	*protocol.Command
}

// planCommand plans a request to write, to switch, or to maintain.
func (m *Meters) planCommand(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Command == nil {
		return protocol.Plan{}, badRequest("the request to %s does not say what is to be done", request.Verb)
	}
	request.Class = protocol.ClassCommand
	r, err := m.reader(request, known)
	if err != nil {
		return protocol.Plan{}, err
	}
	if r.address == Anyone {
		return protocol.Plan{}, badRequest("several meters may answer to %s; a command goes to one meter, by its full address", r.address)
	}
	c := &commander{r, request.Command}
	switch request.Verb {
	case protocol.VerbRelay:
		r.permit, r.class = protocol.PermitRelay, protocol.ClassRelay
		return c.planValve()
	case protocol.VerbMaintenance:
		r.permit = protocol.PermitMaintenance
		if c.Action != actionSyncClock {
			return protocol.Plan{}, badRequest("there is no action %q: the actions are %s", c.Action, actionSyncClock)
		}
		return c.planSyncClock()
	}
	r.permit = protocol.PermitWrite
	return c.planWrite()
}

// current is the register of the current data, of which an item is wanted.
func current(item string) []register {
	return []register{{di: CurrentData, names: []string{item}, only: []string{item}}}
}

// meet plans what is to be done to the meter once its type is known: by what is configured or
// learned, else by reading it.
func (c *commander) meet(then func(t Type) (protocol.Plan, error)) (protocol.Plan, error) {
	if t := c.typeOf(); t != AnyType {
		return then(t)
	}
	return c.ask(itemVolume, func(answer protocol.Answer) (protocol.Plan, error) {
		t := typeIn(answer.Result.Learned[learnedType])
		if t == AnyType {
			return protocol.Plan{}, fmt.Errorf("the meter is read before it is given a command, to learn its type: %w", answer.Err)
		}
		return then(t)
	})
}

// ask reads an item of the current data, in the ways that there are, and goes on with the answer.
func (c *commander) ask(item string, then func(protocol.Answer) (protocol.Plan, error)) (protocol.Plan, error) {
	return c.askIn(c.ways(), item, then), nil
}

func (c *commander) askIn(ways []way, item string, then func(protocol.Answer) (protocol.Plan, error)) protocol.Plan {
	step := c.step(current(item)[0], ways...)
	step.Only = nil
	plan := c.plan(step)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if err := answers[0].Err; err != nil && isNoAnswer(err) && !errors.Is(err, protocol.ErrSilent) {
			if other, ok := wayOf(answers[0], ways).otherOrder(ways); ok {
				return c.askIn([]way{other}, item, then), nil
			}
		}
		return then(answers[0])
	}
	return plan
}

// report is the plan that ends with what is known of the command.
func (c *commander) report(r protocol.Report) protocol.Plan { return c.plan().Reporting(r) }

// send is the step that gives a meter of type t a command: C 04, DI, SER, data. Its answer repeats
// identifier and number.
func (c *commander) send(t Type, di DI, data ...byte) protocol.Step {
	ser := c.ser()
	request := Frame{t, c.address, WriteData, append(append(di.Append(nil, c.options.commands), ser), data...)}
	answer := answerTo(request, di, ser)
	answer.anySer = c.options.anySer
	return protocol.Step{
		Meter: c.key(c.address), Line: &line, Class: c.class, Kind: protocol.KindCommand,
		First: protocol.Exchange{
			Request: mustAppend(request), Answer: answer.split, Vague: func([]byte) bool { return true },
			Explain: c.explainer(c.address), Take: c.takeAcknowledgement,
		},
	}
}

// takeAcknowledgement reads the answer to a command.
func (c *commander) takeAcknowledgement(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	result := protocol.Result{Address: c.named(frame.Address)}
	if frame.Control.Refused() {
		st, _, _ := refusalIn(frame.Data)
		return nil, result, refusalOf(st)
	}
	return nil, result, nil
}

// planValve plans to open or to close the valve: C 04, A017, 55H or 99H. What the valve does is read
// back.
func (c *commander) planValve() (protocol.Plan, error) {
	var code byte
	switch c.Action {
	case valveCommands[openValve]:
		code = openValve
	case valveCommands[closeValve]:
		code = closeValve
	default:
		return protocol.Plan{}, badRequest("there is no action %q: the actions are %s and %s", c.Action, valveCommands[openValve], valveCommands[closeValve])
	}
	return c.meet(func(t Type) (protocol.Plan, error) {
		plan := c.plan(c.send(t, Valve, code))
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			if answer := answers[0]; protocol.EndingOf(answer).MayBeDone() {
				want := map[byte]string{openValve: valveOpen, closeValve: valveClosed}[code]
				return c.watchValve(t, want).Begin(answer), nil
			}
			return c.plan(), nil
		}
		return plan, nil
	})
}

// lookTimes returns when to look whether the valve has moved, which takes it seconds: at 1, 2, 4, 8 …
// seconds after the command was answered, as long as that is within the time given for it, and at the
// end of that.
func lookTimes(within time.Duration) (times []time.Duration) {
	at := time.Second
	for ; at < within; at *= 2 {
		times = append(times, at)
	}
	if within > 0 {
		times = append(times, within)
	}
	return times
}

// watchValve looks after a command what became of the valve of a meter of type t.
func (c *commander) watchValve(t Type, want string) protocol.Watch {
	return protocol.Watch{
		Times: lookTimes(c.Verify),
		Looks: []func() protocol.Step{func() protocol.Step {
			return c.step(current(valveItem)[0], way{t, c.ways()[0].order})
		}},
		Plan: c.plan,
		See: func(look protocol.Answer) protocol.Sight {
			valve, _ := valueOf(look.Result.Values, valveItem).(string)
			return protocol.Sight{State: valve, AsCommanded: valve == want}
		},
		Report: valveReport,
	}
}

// valveReport reports what the looks so far have shown.
func valveReport(w protocol.Watched) protocol.Report {
	unmoved := "The meter took the command, but its valve has not moved yet, which may take tens of seconds; read valve to see when it has."
	if w.State == valveAbnormal {
		unmoved = "The meter took the command, but says that its valve is abnormal: it may be stuck, or still on its way; read valve to see."
	}
	r := w.Report("What the valve does was read after the command was not answered.", "Neither was the command answered nor could the valve be looked at.", unmoved)
	r.Valve = w.State
	return r
}

// writable are the items that can be written: by which identifier, and with which one they are read.
var writable = map[string]struct{ by, read DI }{
	itemSettleDay:  {WriteSettleDay, SettleDay},
	itemReadingDay: {WriteReadingDay, ReadingDay},
}

// planWrite plans a write, and the reading of what the meter then has.
func (c *commander) planWrite() (protocol.Plan, error) {
	item := c.Arguments.Text(protocol.ArgumentItem)
	if item == "" {
		return protocol.Plan{}, badRequest("a write names the item to be written")
	}
	if di, own, ok := c.ownOf(item); ok {
		return c.planWriteOwn(di, own)
	}
	at, ok := writable[item]
	if !ok {
		if _, _, err := c.find(item); err != nil {
			return protocol.Plan{}, err
		}
		switch item {
		case valveItem:
			return protocol.Plan{}, badRequest("a valve is moved by relay: valve_open or valve_close")
		case itemClock:
			return protocol.Plan{}, badRequest("the clock is set by the maintenance action sync_clock")
		}
		return protocol.Plan{}, badRequest("%s can be read but not written; %s and %s can", item, itemSettleDay, itemReadingDay)
	}
	number, _ := c.Arguments[protocol.ArgumentValue].(json.Number)
	day, err := strconv.Atoi(number.String())
	if err != nil || day < 1 || day > 31 {
		return protocol.Plan{}, badRequest("%s is a day of the month, a whole number from 1 to 31", item)
	}
	return c.meet(func(t Type) (protocol.Plan, error) {
		plan := c.plan(c.send(t, at.by, octet.ToBCD(day)))
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			was := protocol.EndingOf(answers[0])
			if !was.MayBeDone() {
				return c.plan(), nil
			}
			plan := c.plan(c.step(register{di: at.read, names: []string{item}, only: []string{item}}, way{t, c.ways()[0].order}))
			plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				return c.report(protocol.ReportWritten(item, was, answers[0], func() (*protocol.Value, bool) {
					now := valueOf(answers[0].Result.Values, item)
					return &protocol.Value{Name: item, Data: now}, now == protocol.Decimal{Coefficient: int64(day)}
				})), nil
			}
			return plan, nil
		}
		return plan, nil
	})
}
