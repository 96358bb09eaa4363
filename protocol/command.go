package protocol

import "time"

// An Action is something that a command can do: a word of the verb's body, and what goes with it. A
// write has one action, whose name is empty.
type Action struct {
	Name string // as in the body: "trip"
	Keys []Key  // what else the body may say, beside what Level and Watched bring

	// Level is the level of the password that the action takes unless the request names another,
	// in the protocol's own spelling; AnyLevel: the request must name one; empty: the action takes no
	// password. One that takes a password also takes the key "retry_password": see Plan.Level.
	Level string

	// Watched marks an action whose effect may take a while to be seen. It takes the key "verify_ms".
	Watched bool
}

// AnyLevel is the Level of an action whose level the request must name.
const AnyLevel = "*"

// A Key is a member of the body of a command.
type Key struct {
	Name string
	Type KeyType
	Want string // what it must be, to follow "must be": "a string of two digits"
}

// A KeyType is what an argument is in JSON, and in [Arguments].
type KeyType uint8

// The types of keys.
const (
	KeyText    KeyType = iota // a string
	KeyInteger                // a whole number: int64
	KeyFlag                   // true or false: bool
	KeyJSON                   // anything, as decoded with json.Decoder.UseNumber
)

// Arguments are what the body of a command says under the keys of its action. A key that the body
// does not have is missing.
type Arguments map[string]any

// Text returns the argument of a key of type KeyText; empty: there is none.
func (a Arguments) Text(key string) string {
	text, _ := a[key].(string)
	return text
}

// Integer returns the argument of a key of type KeyInteger; 0: there is none.
func (a Arguments) Integer(key string) int64 {
	n, _ := a[key].(int64)
	return n
}

// Flag returns the argument of a key of type KeyFlag; false: there is none.
func (a Arguments) Flag(key string) bool {
	flag, _ := a[key].(bool)
	return flag
}

// The keys that a bridge knows by name too. An action that has them uses these names.
const (
	ArgumentItem  = "item"  // write and others: the name of an item, or its identifier
	ArgumentValue = "value" // write: what to write
)

// A Command is what a request other than a read wants done. A protocol answers ErrBadRequest where an
// argument is missing or makes no sense.
type Command struct {
	Action    string // one of Actions of the verb
	Arguments Arguments

	Passwords map[string]string // what is configured for the meter: level to digits, of some makers hex
	Operator  string            // operator code, eight digits, likewise

	Deadline time.Duration // relay: how long after its sending the frame is valid
	Verify   time.Duration // of an action that is Watched: how long to look whether it has worked
	Offset   time.Duration // what is known of the meter's clock: ahead of ours by so much; 0: nothing

	// Now is the time at which the command is planned, for guards that must know it before
	// anything is read of the meter: no clock is set around midnight. Frames never carry it.
	Now time.Time

	// Clock says why the meter's clock must not be set by ours; nil if it may.
	Clock error

	// Settings are the names of what is configured, for sentences that say what to change.
	Settings Settings
}

// Settings are the names by which a person knows what is configured. A protocol needs them for
// sentences; it does not know the program.
type Settings struct {
	Passwords     string // of the meters' passwords
	PasswordsFile string // of the file with those of single meters
	Meters        string // of the list of meters
	Bus           string // of the bus and its speed
}

// A Report is what is known of a command beyond its answer.
type Report struct {
	Readable bool // what it did can be read back
	Verified bool // it was, and is as commanded
	Pending  bool // the meter took the command but has not carried it out yet

	Relay string // "open" or "closed" as read back
	Valve string // "open", "closed" or "abnormal" as read back
	Value *Value // write: as read back

	DriftBefore, DriftAfter *time.Duration // sync_clock: how far the meter's clock was, and is, ahead of ours
	Offset                  *time.Duration // the same, where it may be the reason of a refusal

	Note string // what a person should know to act rightly: a sentence
}

// Say adds a sentence to the note.
func (r *Report) Say(sentence string) {
	if r.Note != "" {
		r.Note += " "
	}
	r.Note += sentence
}
