package bus

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// A Job is what one request still has to do on the wire.
type Job struct {
	// Steps are done in order. Each is arbitrated for itself by its class and meter, so
	// that other jobs' steps may come between them. For a step with a Mode of its own the port
	// must be a Tuner; else, and if it cannot be set so, the step ends with protocol.ErrUnsupported.
	Steps []protocol.Step

	// Deadline bounds the start of each step, not its end, by the wall clock as well as by the
	// monotonic one (see Over); a step that has not begun by then is answered with ErrExpired, or with
	// ErrDown if the port is missing. The zero time is no deadline; such a job is answered with ErrDown once the port has kept it waiting for a
	// minute.
	Deadline time.Time

	// May is asked for each step that is not to be repeated when its first byte is about to go
	// out; an error ends the step instead. It must not wait. Nil: all may.
	May func() error

	// Stranger marks a read of a meter that nobody has configured and that has never answered:
	// there may be none, and who asks may ask a thousand. All such reads have one turn among the
	// meters and a tenth of the places, and the bus does not look for those meters by itself.
	Stranger bool

	// Continued marks the rest of a request whose first part was admitted already; it is not
	// turned away however full the queue is.
	Continued bool
}

// A Report is how a job ended.
type Report struct {
	Replies []Reply       // one for each step of the job, in order
	Queued  time.Duration // time from Submit to the report that was not spent on the wire for the job
	Wire    time.Duration // time that the conversations of the job held the wire
	Steps   int           // conversations held on the wire for the job; one shared with other jobs counts in each
}

// A Reply is how one step ended. The Err of its answer is, or wraps, ErrExpired, ErrDown,
// ErrStopping, protocol.ErrSilent (as an *OfflineError if the meter was not even asked),
// protocol.ErrGarbled or a *protocol.Refusal. After silence or noise the rest of the job's
// steps to that meter are not tried and end with the same error.
//
// For a command the two fields Started and Err tell what is known: not started means not
// done; started, with ErrSilent or ErrGarbled, means that nobody knows.
type Reply struct {
	protocol.Answer
	Started    bool       // something of the step reached the wire
	Unreadable bool       // Err is about the content of the meter's own answer: the frame was sound
	Frames     []Transfer // what went and came for the step, oldest first
}

// A Transfer is what went over the wire in one direction at one time.
type Transfer struct {
	Sent    bool      // by us; otherwise received
	Ignored bool      // received, but no part of an answer: noise, echo, foreign and unfinished frames
	Time    time.Time // when its first byte was sent, or its last received
	Bytes   []byte    // without the wake-up bytes that go before a request
}

// A FrameEvent is a frame as [Config].OnFrame sees it, at the time it passes.
type FrameEvent struct {
	Meter protocol.MeterKey // Step.Meter of the step for whose sake it was sent or heard
	Transfer
}

// The errors of the arbiter. They are matched with errors.Is.
var (
	ErrBusy     = errors.New("the queue of the bus is full")
	ErrExpired  = errors.New("expired before its turn came on the bus")
	ErrDown     = errors.New("the bus is down")
	ErrStopping = errors.New("the bridge is stopping")
)

// A BusyError says that the queue is full. It is an ErrBusy.
type BusyError struct {
	Waiting    int           // jobs that wait
	RetryAfter time.Duration // a guess at when there is room again
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: %d requests are waiting; try again in %s", ErrBusy, e.Waiting, e.RetryAfter)
}

// Is makes a BusyError match ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// An OfflineError says that a meter was not asked because it has stopped answering. It is a
// protocol.ErrSilent.
type OfflineError struct {
	Meter      protocol.MeterKey
	RetryAfter time.Duration // when the meter is tried again; a request that comes then is the trial
}

func (e *OfflineError) Error() string {
	return fmt.Sprintf("%v: meter %s is offline and was not asked; it is tried again in %s", protocol.ErrSilent, e.Meter, e.RetryAfter.Round(time.Millisecond))
}

// Is makes an OfflineError match protocol.ErrSilent.
func (e *OfflineError) Is(target error) bool { return target == protocol.ErrSilent }
