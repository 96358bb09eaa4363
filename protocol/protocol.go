// Package protocol says what a bus protocol is: something pure that turns a request into
// steps, each one a conversation with one meter on a half-duplex line. The package knows
// neither clock nor port nor MQTT. A concrete protocol (package dlt645) implements
// [Protocol]; package bus runs the steps; package bridge makes requests out of messages
// and replies out of results.
package protocol

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Protocol turns requests into steps. It is pure: the same request gives the same plan,
// nothing waits, and it may be called from many goroutines at once.
type Protocol interface {
	// Name is the word that chooses the protocol in a configuration ("2007", "1997").
	Name() string

	// ParseAddress reads a meter address as people write it and returns the one spelling
	// used in topics and as a key (12 digits). A wildcard is an address that more than one
	// meter could answer to; it serves reads only.
	ParseAddress(text string) (address string, wildcard bool, err error)

	// Plan turns a request into steps. An error means that nothing of the request can be
	// done: it is, or wraps, ErrBadRequest, ErrUnknownItem or ErrUnsupported. known may be nil.
	Plan(request Request, known Known) (Plan, error)

	// Redact returns frame as upper-case hex with every secret byte written as "**". It
	// accepts any bytes, also damaged frames and several in a row.
	Redact(frame []byte) string
}

// A Verb is what a request asks for, spelled as in its topic.
type Verb string

// The verbs that a protocol plans.
const (
	VerbRead        Verb = "read"
	VerbRaw         Verb = "raw"
	VerbWrite       Verb = "write"
	VerbRelay       Verb = "relay"
	VerbMaintenance Verb = "maintenance"
	VerbBroadcast   Verb = "broadcast"
	VerbClock       Verb = "clock" // of no topic: read the meter's clock, the Clock of a result
)

// A Request is one request to one meter, already parsed but not yet understood.
type Request struct {
	Verb     Verb
	Class    Class    // class of the steps; a protocol may raise it to that of a command
	Address  string   // as ParseAddress returned it; empty for raw and broadcast
	Items    []string // read: names or identifiers, at least one
	Frame    []byte   // raw: the frame to send
	NoAnswer bool     // raw: send and do not wait
	Command  *Command // write, relay, maintenance, broadcast: what is to be done

	// From, unless zero, makes a read one of history: of the samples that the meter has stored
	// from that moment on, up to but not including To; a zero To is no bound. See History.
	// A protocol that has no history answers ErrUnsupported.
	From, To time.Time
}

// Known is what the bus has learned of one meter. The bus keeps it, a protocol reads it.
type Known interface {
	// Lacks tells whether the meter has refused this block, or answered it in a layout that
	// cannot be read, often enough that it is not worth asking again today. block is the
	// Step.Block of an earlier step.
	Lacks(block string) bool
}

// A Plan is what is to be done for a request.
type Plan struct {
	Permission Permission  // what the sender must be allowed to do
	Address    string      // the meter meant; for raw taken from the frame
	Steps      []Step      // in order; all to the same meter
	Errors     []ItemError // items that no step will answer, and why

	// Then, unless nil, makes the rest of the plan out of the answers to Steps (one for
	// each, in order): for example once the meter behind a wildcard is known, or to read
	// singly what a block did not bring. What it brings for an item, a value or an error,
	// replaces an earlier error of that item.
	Then func(answers []Answer) (Plan, error)

	// After is how long to wait before Steps: a relay, for one, takes its time to move.
	After time.Duration

	// Until, unless zero, is when it is too late to begin Steps, whatever the request says.
	Until time.Time

	// Password is the level and password in the frames of a command, as PPdddddd; empty if
	// there is none. It tells refusals of one password from those of another, and is never
	// shown.
	Password string

	// Report is what is known of a command by the time of this plan; nil: nothing new.
	Report *Report

	// History is what a read of history has brought; the last plan of such a read has it.
	History *History
}

// MostSamples is how many samples a read of history brings at most.
const MostSamples = 500

// A History is what a meter has stored, the oldest sample first.
type History struct {
	Samples []Sample

	// Next is the time of the first sample that was left for another read, whose From it is;
	// zero if there is none.
	Next time.Time
}

// A Sample is what a meter stored at a moment of its own clock.
type Sample struct {
	Time   time.Time
	Values []Value // their names are those of the items that had these values at that moment
}

// An ItemError says why one item of a request cannot be answered.
type ItemError struct {
	Item string
	Err  error
}

// An Answer is how a step ended: with a result or with an error.
type Answer struct {
	Result Result
	Err    error
	Came   time.Time // when the last byte of the answer came; zero if none did
}

// A Permission is a class of requests that an operator allows or forbids as one.
type Permission string

// The permissions, spelled as in the configuration.
const (
	PermitRead        Permission = "read"
	PermitWrite       Permission = "write"
	PermitRelay       Permission = "relay"
	PermitMaintenance Permission = "maintenance"
	PermitBroadcast   Permission = "broadcast"
)

// A Class orders the steps that wait for the wire: the smaller goes first.
type Class uint8

// The classes, most urgent first.
const (
	ClassRelay   Class = iota // switching, and reading back what was switched
	ClassCommand              // write, maintenance, broadcast
	ClassRead                 // somebody waits for the value
	ClassPoll                 // the point table
	ClassScan                 // the search for meters
	Classes                   // how many there are
)

// A Kind groups the steps that take a meter about equally long to answer.
type Kind uint8

// The kinds.
const (
	KindValue   Kind = iota // a register
	KindRecord              // something the meter must look up in its memory
	KindCommand             // something the meter must do first
	Kinds                   // how many there are
)

// A Step is one conversation with one meter: one identifier read to its end, or one command.
type Step struct {
	Meter string   // the meter's address; steps of one meter never interleave
	Items []string // the items that it answers, by the name that an error goes under
	Only  []string // the values wanted of the result, by name; nil: all of them
	Block string   // names the block that is read, if it is one: see Known.Lacks
	Class Class
	Kind  Kind

	// Key is the same in steps whose results are interchangeable (before Only takes its
	// choice); they share one conversation. Empty: never shared.
	Key string
	// Repeatable steps may be tried twice. A command never is.
	Repeatable bool
	// Expected is about how many bytes the answer has, wake-up bytes aside; 0: not known.
	Expected int

	First Exchange
}

// IsCommand tells of a step that makes a meter do something. A look at what a command did is
// of a command's class too, but it may be repeated.
func (s *Step) IsCommand() bool { return s.Class <= ClassCommand && !s.Repeatable }

// Values returns what the step is wanted for out of a result: all of it, or what Only names.
func (s *Step) Values(result Result) []Value {
	if s.Only == nil {
		return result.Values
	}
	var wanted []Value
	for _, value := range result.Values {
		if slices.Contains(s.Only, value.Name) {
			wanted = append(wanted, value)
		}
	}
	return wanted
}

// An Exchange is one frame sent and the frame awaited.
type Exchange struct {
	Request []byte // the frame, without wake-up bytes

	// Stamp, unless nil, makes the frame anew when it is about to go out, for the moment at
	// which its last byte will have gone: a frame that carries the time. It is as long as
	// Request.
	Stamp func(sent time.Time) []byte

	// Answer cuts the awaited frame out of whatever arrives; atEOF means that the line has
	// gone quiet. Nil: nobody answers, or nobody waits for it.
	Answer bufio.SplitFunc

	// Stray cuts the answer that may come though nobody waits for it. Nil: none can, or Answer
	// cuts it.
	Stray bufio.SplitFunc

	// Vague tells of a cut frame that it names neither what was asked nor what was done
	// (an error answer, an acknowledgement), so that it may belong to an earlier request
	// to the same meter. Nil: no answer is vague.
	Vague func(answer []byte) bool

	// Explain says in words which sound frames there are in bytes that came and are no answer:
	// "meter 000000000002 answers (…), where 000000000001 was asked". It is empty where there is
	// none; a frame that is sound shows that speed, parity and wiring are right. Optional.
	Explain func(heard []byte) string

	// Take reads the cut frame, which it may keep. It returns either the next exchange of
	// the conversation, or the result, or an error: a *Refusal, or one that wraps
	// ErrGarbled where the frame is sound but its content is not. Beside an error the
	// result still tells who answered, and for raw its frame. Nil: no result.
	Take func(answer []byte) (next *Exchange, result Result, err error)

	// Longest is the most bytes that the answer has, wake-up bytes included, where that is
	// known; else 0. Whoever collects an answer before passing it on takes no longer.
	Longest int

	// Rest is the silence that the line needs after an exchange without answer.
	Rest time.Duration
}

// A Result is what a conversation brought.
type Result struct {
	Address string    // the meter that answered
	Values  []Value   // in the order of the frame
	Clock   time.Time // what the meter's clock showed, if that was read; else zero
	Frame   []byte    // raw: the answer as it came, without wake-up bytes
	Samples []Sample  // of a load record, in place of Values, as they came; one without values is not valid
}

// A Value is one decoded value. Data is nil (the meter has no such value), bool, string,
// Decimal, or a slice or map of these; all of it marshals to JSON as it should be published.
type Value struct {
	Name string // the item's name; for a flag "status_3.relay_open"
	Unit string // as in "kWh"; empty if there is none
	Data any
}

// The errors that end a step or a plan. They are matched with errors.Is.
var (
	ErrBadRequest  = errors.New("bad request")
	ErrUnknownItem = errors.New("unknown item")
	ErrUnsupported = errors.New("unsupported")
	ErrUnsafe      = errors.New("refused")         // it could be done, but would do harm now
	ErrSilent      = errors.New("no answer")       // nothing came
	ErrGarbled     = errors.New("no valid answer") // something came, but not the answer
)

// A Refusal is a meter's error answer.
type Refusal struct {
	Code    uint16   // as sent
	Reasons []string // in words, from the closed list of the contract
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the meter refused (code %02XH): %s", r.Code, strings.Join(r.Reasons, ", "))
}
