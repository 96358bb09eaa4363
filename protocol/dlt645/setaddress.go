package dlt645

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"dlt645-mqtt/protocol"
)

// An addressing gives a meter another address.
type addressing struct {
	*commander
	next Address
}

// planSetAddress plans to give the meter another address: function 15H, or 0AH in 1997. Since
// the frame goes to AAAAAAAAAAAA, whoever hears it takes the address; so it is asked before
// who is there, in the other edition and then, twice, in the meter's own. Clause 7.5 of DL/T 645-2007.
func (c *commander) planSetAddress() (protocol.Plan, error) {
	next, err := ParseAddress(c.NewAddress, c.version)
	switch {
	case err != nil:
		return protocol.Plan{}, badRequest("the new address: %w", err)
	case c.isShared(next):
		return protocol.Plan{}, badRequest("%s cannot be the address of a meter, for others answer to it as well", next)
	case next.HasLetters():
		return protocol.Plan{}, badRequest("the new address %s has letters, and the address of a meter is of digits", next)
	case next == c.address:
		return protocol.Plan{}, badRequest("meter %s has that address", c.meter)
	}
	if err := c.confirmed("a meter whose address is not known any more is lost"); err != nil {
		return protocol.Plan{}, err
	}
	a := &addressing{c, next}
	other := New(V2007+V1997-c.version, c.zone)
	question, err := other.Find("")
	if err != nil {
		return protocol.Plan{}, err
	}
	return a.exclude(other.version, question.Steps), nil
}

// exclude plans to ask each question of the other edition, which nobody must answer, and then those of
// the meter's own. Each question is a plan of its own, for after a silence the rest of a plan is not asked.
func (a *addressing) exclude(other Version, questions []protocol.Step) protocol.Plan {
	if len(questions) == 0 {
		return a.confirmAlone()
	}
	plan := a.plan(questions[0])
	plan.Prelude = true
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		const why = "set_address is sent only if there is no other meter on the wire; connect the meter alone"
		switch answer := answers[0]; {
		case errors.Is(answer.Err, protocol.ErrSilent):
			return a.exclude(other, questions[1:]), nil
		case answer.Err == nil:
			return protocol.Plan{}, fmt.Errorf("%w: meter %s answers to DL/T 645-%s; %s", protocol.ErrUnsafe, answer.Result.Address.Text, other, why)
		case errors.Is(answer.Err, protocol.ErrGarbled):
			return protocol.Plan{}, fmt.Errorf("%w: something answers when meters of DL/T 645-%s are asked for (%w); %s", protocol.ErrUnsafe, other, answer.Err, why)
		default:
			return protocol.Plan{}, fmt.Errorf("before a new address is given it is asked whether another meter is there: %w", answer.Err)
		}
	}
	return plan
}

// confirmAlone plans to ask twice who is there, and to give the address if only the meter that is meant is.
func (a *addressing) confirmAlone() protocol.Plan {
	plan := a.plan(a.whoIsThere(), a.whoIsThere())
	plan.Prelude = true
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		for _, answer := range answers {
			if err := a.isAlone(answer); err != nil {
				return protocol.Plan{}, err
			}
		}
		return a.give(), nil
	}
	return plan
}

// whoIsThere is the step that asks every meter on the wire for its address. It waits as long
// as for the answer to a command, since a slow meter would be readdressed as well.
func (a *addressing) whoIsThere() protocol.Step {
	step := a.addressSignal()
	if a.version == V1997 {
		step = a.readSignal(Anyone, diEnergy1997)
	}
	step.Meter, step.Class, step.Kind = a.key(a.address), a.class, protocol.KindCommand
	step.First.Answer = alone(step.First.Answer, step.First.Request)
	return step
}

// alone is a split function that waits until the line is quiet. It cuts what split would, if
// nothing else was heard that could come from a second meter; else all of it, which is no
// frame.
func alone(split bufio.SplitFunc, request []byte) bufio.SplitFunc {
	return func(heard []byte, atEOF bool) (advance int, token []byte, err error) {
		if !atEOF {
			return 0, nil, nil
		}
		_, answer, err := split(heard, true)
		if answer == nil || err != nil {
			return len(heard), nil, err
		}
		others := bytes.ReplaceAll(heard, answer, nil) // of two tries both may be answered now
		for _, own := range [][]byte{request, {wakeUp}} {
			others = bytes.ReplaceAll(others, own, nil)
		}
		if len(others) >= minimumSize {
			return len(heard), heard, nil
		}
		return len(heard), answer, nil
	}
}

// isAlone returns an error unless the answer shows that the meter is the only one.
func (a *addressing) isAlone(answer protocol.Answer) error {
	const why = "set_address reaches every meter on the wire, so it is sent only if there is no other; connect the meter alone"
	switch err := answer.Err; {
	case errors.Is(err, protocol.ErrGarbled):
		return fmt.Errorf("%w: several meters seem to answer at once when asked for their address; %s", protocol.ErrUnsafe, why)
	case err != nil:
		return fmt.Errorf("before a new address is given the meter is asked for its own: %w", err)
	case answer.Result.Address.Text != a.meter:
		return fmt.Errorf("%w: meter %s answers where %s is meant; %s", protocol.ErrUnsafe, answer.Result.Address, a.meter, why)
	}
	return nil
}

// give plans to send the new address. The answer comes from there; a refusal is silence.
func (a *addressing) give() protocol.Plan {
	function := FunctionWriteAddress
	if a.version == V1997 {
		function = FunctionWriteAddress1997
	}
	plan := a.plan(a.command(Anyone, function, a.next.reversed(), &awaited{from: a.next, function: function}))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		switch was := protocol.EndingOf(answers[0]); was {
		case protocol.Acknowledged, protocol.Unanswered:
			return a.look(was), nil
		}
		return a.plan(), nil
	}
	return plan
}

// look plans to read the meter at its new address, and at the old one if it did not say that
// it took the new one.
func (a *addressing) look(was protocol.Ending) protocol.Plan {
	change := "Change the address in " + a.Settings.Meters + " and start the bridge again."
	plan := a.plan(a.sign(a.next))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		moved := isSign(answers[0])
		switch {
		case was == protocol.Acknowledged && moved:
			return a.report(protocol.Report{Readable: true, Verified: true, Note: fmt.Sprintf("The meter answers as %s now. %s", a.next, change)}), nil
		case was == protocol.Acknowledged:
			return a.report(protocol.Report{Note: fmt.Sprintf("The meter acknowledged its new address %s, but it could not be read there. %s", a.next, change)}), nil
		case moved:
			return a.report(protocol.Report{Readable: true, Note: fmt.Sprintf("A meter answers as %s now. %s", a.next, change)}), nil
		}
		again := a.plan(a.sign(a.address))
		again.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			if isSign(answers[0]) {
				return a.report(protocol.Report{Readable: true, Note: fmt.Sprintf("The meter still answers as %s: it may want its programming key pressed.", a.meter)}), nil
			}
			return a.report(protocol.Report{Note: fmt.Sprintf("The meter answers neither as %s nor as %s.", a.next, a.meter)}), nil
		}
		return again, nil
	}
	return plan
}

// sign is the step by which a meter shows that it has an address: whatever it answers.
func (a *addressing) sign(address Address) protocol.Step {
	if a.version == V1997 {
		return a.read(address, diEnergy1997)
	}
	return a.read(address, diAddress)
}

// isSign reports whether a meter answered, if only to refuse.
func isSign(answer protocol.Answer) bool {
	was := protocol.EndingOf(answer)
	return was == protocol.Acknowledged || was == protocol.Refused
}
