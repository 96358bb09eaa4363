package protocol

import "errors"

// An Ending is what is known of a command when its step has ended.
type Ending uint8

// The endings.
const (
	NotSent      Ending = iota // it was never sent
	Acknowledged               // the meter says that it has done it
	Refused                    // the meter says that it has not
	Unanswered                 // no answer came: the meter may have done it or not
)

// EndingOf returns how the step of a command ended.
func EndingOf(answer Answer) Ending {
	switch err := answer.Err; {
	case err == nil:
		return Acknowledged
	case IsRefusal(err):
		return Refused
	case errors.Is(err, ErrSilent), errors.Is(err, ErrGarbled):
		return Unanswered
	}
	return NotSent
}

// MayBeDone reports whether the meter may have done what it was told.
func (o Ending) MayBeDone() bool { return o == Acknowledged || o == Unanswered }

// Noted returns a plan of one command so that it ends with a sentence for whoever gave the command, unless that was
// refused.
func (p Plan) Noted(note string) Plan {
	end := p
	end.Steps = nil
	p.Then = func(answers []Answer) (Plan, error) {
		switch EndingOf(answers[0]) {
		case Acknowledged:
			return end.Reporting(Report{Note: note}), nil
		case Unanswered:
			return end.Reporting(Report{Note: "If the meter did it: " + note}), nil
		}
		return end, nil
	}
	return p
}

// Reporting returns the plan with what is known of its command.
func (p Plan) Reporting(r Report) Plan {
	p.Report = &r
	return p
}

// IsRefusal reports whether err is a meter's error answer.
func IsRefusal(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal)
}

// ReportWritten reports of a write that ended so what the item was read as afterwards. The function compare
// returns the value that was read, and whether it is the one that was written; it is called only if there is one.
func ReportWritten(item string, write Ending, read Answer, compare func() (value *Value, same bool)) Report {
	if read.Err != nil {
		return Report{Note: "What the meter has for " + item + " now could not be read: " + read.Err.Error() + "."}
	}
	value, same := compare()
	r := Report{Readable: true, Value: value}
	switch {
	case write != Acknowledged:
		r.Note = "What the meter has for " + item + " was read after the write was not answered."
	case same:
		r.Verified = true
	default:
		r.Note = "The meter acknowledged the write, but it has another value for " + item + "."
	}
	return r
}
