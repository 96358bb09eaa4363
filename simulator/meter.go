package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

// MeterOptions describe a meter. Only the address is needed.
type MeterOptions struct {
	Address   string         // 1 to 12 digits; a short one is filled up as the edition does it
	Version   dlt645.Version // the edition that it speaks; zero: 2007
	Mode      protocol.Mode  // at which it hears and speaks; zero: that of the line
	OnePhase  bool           // else three phases, four wires
	Feeding   bool           // a solar plant behind the meter feeds a little back from 11 to 14 o'clock
	Seed      uint64         // with the address it makes the meter's values
	Passwords string         // as in "02123456,04000000", level first; empty: level 02 and 04, digits 000000

	// LockAfter is the number of wrong passwords in a row after which the meter takes no
	// password for 24 hours, right or wrong. 0: it never locks.
	LockAfter int

	// Lacks lists identifiers that the meter refuses as if it had no such data: an item, or
	// a block such as 0201FF00, whose members it still has.
	Lacks []dlt645.DI

	// Longest is the most data of an answer in bytes, 64 to 200, identifier and SEQ included:
	// what is longer comes in follow-up frames. 0 is 200, the most that the standard allows.
	Longest int

	// RelayDelay is how long the contacts take to move after a command was acknowledged.
	RelayDelay time.Duration

	// Counting makes every number that the meter measures tell the exchange in which it was
	// read: see [Counted].
	Counting bool

	// OnCommand is optional: it is called for each command at the moment it is carried out: not
	// for one that is refused. Whatever changes the meter is a command, in 2007 the functions
	// 08H and 14H to 1DH, in 1997 04H, 08H, 0AH, 0CH, 0FH and 10H. It must not call the meter.
	OnCommand func(command dlt645.Frame)
}

// A Meter is one simulated meter. It has no clock: each method is told the time at which
// it happens, and time must not run backwards between calls. Methods may be called from
// many goroutines.
type Meter struct {
	version   dlt645.Version
	mode      protocol.Mode
	phases    int
	household *household
	lockAfter int
	lacks     []dlt645.DI
	longest   int
	counting  bool
	onCommand func(dlt645.Frame)

	mu           sync.Mutex
	address      dlt645.Address
	passwords    map[byte][3]byte // by level; P0, the low byte, first
	wrong        int              // passwords in a row
	lockedUntil  time.Time
	counts       Counts
	clock        time.Duration // how far the meter's clock is ahead
	broadcast    instant       // when a broadcast last set it, on its own clock
	parameters   map[dlt645.DI][]byte
	events       map[dlt645.DI]*events // by identifier without DI0
	relay        relay
	maxima       map[instant]*maxima // by the beginning of the period
	demandClears []clearing          // by command, newest last
	cleared      instant             // when the meter was last cleared
	base         work                // what it had counted until then
	frozen       []freeze            // at once, newest last
	timed        []timedFreeze       // newest last
	record       record              // what a follow-up continues
	last         response            // what function 03H of 1997 repeats
	offUntil     time.Time
}

// Counts tell what a meter did.
type Counts struct {
	Exchanges    int // frames answered, refusals among them; the number of an exchange for [Counted]
	Reads        int // reads answered with data, without follow-ups
	FollowUps    int // follow-up frames sent, and frames sent again (03H of 1997)
	Writes       int // parameters written, the clock among them (14H, 1997: 04H)
	Addresses    int // addresses taken (15H, 0AH)
	Freezes      int // freezes ordered, by broadcast too (16H)
	BaudRates    int // speeds set (17H, 0CH)
	Passwords    int // passwords changed (18H, 0FH)
	DemandClears int // maximum demands cleared by command (19H, 10H)
	MeterClears  int // meter cleared (1AH)
	EventClears  int // events cleared (1BH)
	Relay        int // relay commands carried out (1CH)
	Outputs      int // signals put on the multifunction terminal (1DH)
	ClockSets    int // times the clock was set by broadcast (08H)
	Refused      int // error answers
}

// NewMeter makes a meter. An error says which option cannot be.
func NewMeter(o MeterOptions) (*Meter, error) {
	m, err := makeMeter(o)
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	return m, nil
}

func makeMeter(o MeterOptions) (*Meter, error) {
	if o.Version == 0 {
		o.Version = dlt645.V2007
	}
	address, err := dlt645.ParseAddress(o.Address, o.Version)
	if err != nil {
		return nil, err
	}
	if !single(address, o.Version) {
		return nil, fmt.Errorf("%s is no address of a single meter", address)
	}
	if o.Longest == 0 {
		o.Longest = mostData
	}
	if o.Longest < leastData || o.Longest > mostData {
		return nil, fmt.Errorf("the longest answer has %d bytes of data: write %d to %d", o.Longest, leastData, mostData)
	}
	passwords, err := parsePasswords(o.Passwords)
	if err != nil {
		return nil, err
	}
	m := &Meter{
		version:   o.Version,
		mode:      o.Mode,
		address:   address,
		phases:    phases,
		lockAfter: o.LockAfter,
		lacks:     slices.Clone(o.Lacks),
		longest:   o.Longest,
		counting:  o.Counting,
		passwords: passwords,
		onCommand: o.OnCommand,
		events:    map[dlt645.DI]*events{},
		relay:     relay{delay: o.RelayDelay},
		maxima:    map[instant]*maxima{},
		timed:     []timedFreeze{{pattern: monthly, since: epoch}},
	}
	if o.OnePhase {
		m.phases = 1
	}
	seed := mix(o.Seed)
	for _, b := range address {
		seed = mix(seed ^ uint64(b))
	}
	m.household = newHousehold(seed, m.phases, o.Feeding)
	m.parameters = m.factorySettings()
	return m, nil
}

// single reports whether an address can be that of one meter. In the 1997 edition AA fills up
// a short address.
func single(a dlt645.Address, v dlt645.Version) bool {
	return !a.IsBroadcast() && a != dlt645.Anyone && (v == dlt645.V1997 || !a.IsWildcard())
}

// Address returns the 12 characters of the meter's address.
func (m *Meter) Address() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.address.String()
}

// Version returns the edition of the standard that the meter speaks.
func (m *Meter) Version() dlt645.Version { return m.version }

// isMeant reports whether a frame to an address is for the meter.
func (m *Meter) isMeant(to dlt645.Address) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return to.Matches(m.address)
}

// Counts returns what the meter did so far.
func (m *Meter) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// SwitchOff takes the meter off the line until a time: it neither hears nor answers.
func (m *Meter) SwitchOff(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offUntil = until
}

// SetClock makes the meter's clock run ahead by a duration, or behind if it is negative.
func (m *Meter) SetClock(ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock = ahead
}

// Read returns what the meter holds under an identifier, in wire order and without the 33H
// offset; false if it has no such data. Of load records it returns one block, the earliest
// or the latest.
func (m *Meter) Read(di dlt645.DI, at time.Time) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(di, at)
}

// read finds the data behind an identifier.
func (m *Meter) read(di dlt645.DI, at time.Time) ([]byte, bool) {
	switch {
	case slices.Contains(m.lacks, di):
		return nil, false
	case m.version == dlt645.V1997:
		return m.read1997(di, at)
	}
	return m.read2007(di, at)
}
