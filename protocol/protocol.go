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
// nothing waits, and it may be called from many goroutines at once. Values of it can be compared.
//
// It may also be a [Catalogue], a [Finder], a [Recogniser] and a [Configurer].
type Protocol interface {
	// Name is the word that chooses the protocol in a configuration ("2007", "modbus/dtsu666").
	Name() string

	// Family names what the protocol is an edition or a model of. Protocols of one family have the same
	// frames, and their meters are the same devices under the same addresses: "645" for both
	// editions of DL/T 645, "modbus" for every register map.
	Family() string

	// ParseAddress reads a meter address as people write it. The error wraps ErrBadRequest.
	ParseAddress(text string) (Address, error)

	// AddressForm returns what an address is, to follow "an address of" ("12 digits"), and the
	// address of one meter as an example, in full ("000000000001").
	AddressForm() (words, example string)

	// Plan turns a request into steps. An error means that nothing of the request can be
	// done: it is, or wraps, ErrBadRequest, ErrUnknownItem or ErrUnsupported. known may be nil.
	Plan(request Request, known Known) (Plan, error)

	// Actions returns what commands of a verb can do: VerbWrite, VerbRelay, VerbMaintenance or
	// VerbBroadcast. None: the protocol does not have the verb.
	Actions(verb Verb) []Action

	// Redact returns frame as upper-case hex with every secret byte written as "**". It
	// accepts any bytes, also damaged frames, several in a row and those of other protocols.
	Redact(frame []byte) string
}

// A Recogniser is a [Protocol] that can tell its frames from those of other families by their own
// checks: a length, a checksum.
type Recogniser interface {
	Protocol

	// Recognises reports whether frame is one that Plan takes for a raw request: one whole frame of the
	// family, sent to a meter.
	Recognises(frame []byte) bool
}

// A Configurer is a [Protocol] whose meters can be configured by options, as in
// grid=000000000010@698?logical=1.
type Configurer interface {
	Protocol

	// Configure returns the protocol as one meter needs it. ParseAddress of that puts into the
	// Variant of an address what tells this meter from others with the same address. The error
	// names the option that is unknown or cannot be.
	Configure(options map[string]string) (Protocol, error)
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
	Address  Address  // as ParseAddress returned it; zero for raw and broadcast
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
	// Lacks reports whether the meter has refused this block, or answered it in a layout that
	// cannot be read, often enough that it is not worth asking again today. block is the
	// Step.Block of an earlier step.
	Lacks(block string) bool

	// Learned returns what an answer of the meter has taught under a name: see Result.Learned.
	// Empty: nothing, or the meter was offline since and may be another one.
	Learned(name string) string
}

// A Plan is what is to be done for a request.
type Plan struct {
	Permission Permission  // what the sender must be allowed to do
	Address    Address     // the meter meant; for raw taken from the frame
	Steps      []Step      // in order; all to the same meter
	Errors     []ItemError // items that no step will answer, and why

	// Then is optional: it makes the rest of the plan out of the answers to Steps (one for
	// each, in order): for example once the meter behind a wildcard is known, or to read
	// singly what a block did not bring. What it brings for an item, a value or an error,
	// replaces an earlier error of that item.
	Then func(answers []Answer) (Plan, error)

	// After is how long to wait before Steps: a relay, for one, takes its time to move.
	After time.Duration

	// Until, unless zero, is when it is too late to begin Steps, whatever the request says.
	Until time.Time

	// Prelude marks Steps that only look whether a command may be given, one of several such plans, which
	// together may take longer than a command waits that does not say how long. So each has that time for itself.
	Prelude bool

	// Level is the level of the password in the frames of a command, as the protocol spells it; empty: they
	// have none. The meter counts the wrong passwords of a level, and so must we.
	Level string

	// Reach, unless zero, is about a command that sets the clocks of all meters: only those take it
	// that are less than so far off.
	Reach time.Duration

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

// An ItemError says why one item of a request cannot be answered. A nil Err takes back what an
// earlier step has said of the item: its parts were read.
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
	Meter MeterKey // steps of one meter never interleave
	Line  *Line    // what its protocol needs of the wire; nil: nothing
	Mode  Mode     // of the line while the step lasts; whoever submits the step sets it

	Items []string // the items that it answers, by the name that an error goes under
	Only  []string // the values wanted of the result, by name; nil: all of them
	Block string   // names the block that is read, if it is one: see Known.Lacks
	Class Class
	Kind  Kind

	// Key is the same in steps whose results are interchangeable (before Only takes its
	// choice); they share one conversation. Empty: never shared.
	// Only steps of the same meter are compared.
	Key string
	// Repeatable steps may be tried twice. A command never is.
	Repeatable bool
	// Proof is optional: it may be asked before a command whose answer is the same as its request: only what else
	// the line brings tells whether it sends back what is sent.
	Proof *Step
	// Expected is about how many bytes the answer has, wake-up bytes aside; 0: not known.
	Expected int

	First Exchange

	// Ways are other ways to ask for the same, after First, where it is not known which one the meter understands. A
	// try that is met with silence is followed by one in the next way, and a meter is not offline before it was
	// silent to all.
	Ways []Exchange
}

// IsCommand reports whether the step makes a meter do something. A look at what a command did is
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

	// Stamp is optional: it makes the frame anew when it is about to go out, for the moment at
	// which its last byte will have gone: a frame that carries the time. It is as long as
	// Request.
	Stamp func(sent time.Time) []byte

	// Answer cuts the awaited frame out of whatever arrives; atEOF means that the line has
	// gone quiet. Nil: nobody answers, or nobody waits for it.
	Answer bufio.SplitFunc

	// Stray cuts the answer that may come though nobody waits for it. Nil: none can, or Answer
	// cuts it.
	Stray bufio.SplitFunc

	// Vague reports whether a cut frame names neither what was asked nor what was done
	// (an error answer, an acknowledgement): then it may belong to an earlier request
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

	// Usual is the most bytes that an answer has of nearly all meters; the first of two tries waits for no more, since
	// what comes later counts for the second. 0: it is not known.
	Usual int

	// Longest is the most bytes that the answer has, wake-up bytes included, where that is
	// known; else 0. Whoever collects an answer before passing it on takes no longer.
	Longest int

	// Rest is the silence that the line needs after an exchange without answer.
	Rest time.Duration
}

// A Result is what a conversation brought.
type Result struct {
	Address Address   // the meter that answered; zero: not known
	Values  []Value   // in the order of the frame
	Clock   time.Time // what the meter's clock showed, if that was read; else zero
	Frame   []byte    // raw: the answer as it came, without wake-up bytes
	Samples []Sample  // of a load record, in place of Values, as they came; one without values is not valid

	// Errors say of single items that the step reads beside others why they have no value, under
	// every name that the item may be asked by. The protocol puts those that were asked for into the
	// Errors of the plan that follows.
	Errors []ItemError

	// Learned is what the answer teaches of the meter beside values, by name: in which order it
	// sends something, what it refuses. It is kept until the meter was offline: see Known.Learned.
	Learned map[string]string
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
	ErrEndless     = errors.New("it does not end") // an answer, which took long and would again: beside ErrGarbled
)

// What a refusal may mean, beside being one. They are matched with errors.Is.
var (
	ErrNoSuchData   = errors.New("the meter has no such data")
	ErrUnauthorised = errors.New("the meter did not authorise this")
)

// A Refusal is a meter's error answer.
type Refusal struct {
	Code    uint16   // as sent
	Reasons []string // in words, from the closed list of the contract

	// Means is, or joins, ErrNoSuchData and ErrUnauthorised; nil: neither.
	Means error

	// Advice says what to look at, without a full stop; empty: nothing in particular.
	Advice string
}

// Unwrap returns what the refusal means.
func (r *Refusal) Unwrap() error { return r.Means }

func (r *Refusal) Error() string {
	return fmt.Sprintf("the meter refused (code %02XH): %s", r.Code, strings.Join(r.Reasons, ", "))
}
