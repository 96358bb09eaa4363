package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// MeterOptions describe a meter. Only the address is needed.
type MeterOptions struct {
	Address   string // 1 to 12 digits
	OnePhase  bool   // else three phases, four wires
	Seed      uint64 // with the address it makes the meter's values
	Passwords string // as in "02123456,04000000", level first; empty: level 02 and 04, digits 000000

	// RelayDelay is how long the contacts take to move after a command was acknowledged.
	RelayDelay time.Duration

	// OnCommand, unless nil, is called for each command at the moment it is carried out
	// (functions 08H, 14H and 1CH): not for one that is refused. It must not call the meter.
	OnCommand func(command dlt645.Frame)
}

// A Meter is one simulated meter. It has no clock: each method is told the time at which
// it happens, and time must not run backwards between calls. Methods may be called from
// many goroutines.
type Meter struct {
	address   dlt645.Address
	phases    int
	household *household
	passwords map[byte][3]byte // by level; P0, the low byte, first
	onCommand func(dlt645.Frame)

	mu         sync.Mutex
	counts     Counts
	clock      time.Duration // how far the meter's clock is ahead
	broadcast  instant       // when a broadcast last set it, on its own clock
	parameters map[dlt645.DI][]byte
	programmed []programming // newest last
	relay      relay
	maxima     map[int]*monthly // by month
	record     record           // what a follow-up continues
	offUntil   time.Time
}

// Counts tell what a meter did.
type Counts struct {
	Reads     int // reads answered with data, without follow-ups (11H, 13H)
	FollowUps int // follow-up frames sent (12H)
	Writes    int // parameters written (14H)
	Relay     int // relay commands carried out (1CH)
	ClockSets int // times the clock was set by broadcast (08H)
	Refused   int // error answers
}

// NewMeter makes a meter. An error says which option cannot be.
func NewMeter(o MeterOptions) (*Meter, error) {
	address, err := dlt645.ParseAddress(o.Address, dlt645.V2007)
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	if address.IsWildcard() || address.IsBroadcast() {
		return nil, fmt.Errorf("make a simulated meter: %s is no address of a single meter", address)
	}
	passwords, err := parsePasswords(o.Passwords)
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	m := &Meter{
		address:   address,
		phases:    phases,
		passwords: passwords,
		onCommand: o.OnCommand,
		relay:     relay{delay: o.RelayDelay},
		maxima:    map[int]*monthly{},
	}
	if o.OnePhase {
		m.phases = 1
	}
	seed := mix(o.Seed)
	for _, b := range address {
		seed = mix(seed ^ uint64(b))
	}
	m.household = newHousehold(seed, m.phases)
	m.parameters = m.factorySettings()
	return m, nil
}

// parsePasswords reads a list of level and password, two and six digits.
func parsePasswords(text string) (map[byte][3]byte, error) {
	if text == "" {
		text = "02000000,04000000"
	}
	passwords := map[byte][3]byte{}
	for entry := range strings.SplitSeq(text, ",") {
		digits, err := strconv.ParseUint(entry, 16, 32)
		if err != nil || len(entry) != 8 {
			return nil, fmt.Errorf("password %q: write two digits for the level and six for the password, as in 02123456", entry)
		}
		passwords[byte(digits>>24)] = [3]byte{byte(digits), byte(digits >> 8), byte(digits >> 16)}
	}
	return passwords, nil
}

// Address returns the 12 digits of the meter's address.
func (m *Meter) Address() string { return m.address.String() }

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
// offset; false if it has no such data.
func (m *Meter) Read(di dlt645.DI, at time.Time) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(di, at)
}
