package points

import (
	"time"

	"dlt645-mqtt/protocol"
)

// acceptAfter is how many readings in a row, each equal to the one before or higher, make a
// level of a register credible that the last credible reading speaks against.
const acceptAfter = 3

// A Verdict is what is thought of a reading of a register.
type Verdict uint8

// The verdicts.
const (
	Plausible Verdict = iota
	Withheld          // it fell, or rose faster than can be
	Reset             // it would be withheld, but it is there to stay: the meter was reset or exchanged
)

// A Register judges the readings of one energy register, which only rises until it begins
// anew after its last digit. The zero Register has not been read.
type Register struct {
	read      bool
	value     protocol.Decimal // the last credible reading
	at        time.Time
	doubtful  protocol.Decimal // the last reading that was withheld
	doubts    int              // readings withheld in a row that did not fall
	unlimited bool             // it has proved to rise faster than the rated current would allow
}

// Last returns the last credible reading.
func (r *Register) Last() protocol.Decimal { return r.value }

// Judge judges a reading, taken at that time, of a register of so many digits (0: not known) in kWh,
// kvarh or the like. watts is the most power (W, var) that the meter is made for; 0: not known.
func (r *Register) Judge(value protocol.Decimal, at time.Time, digits int, watts int64) Verdict {
	if r.plausible(value, at, digits, watts) {
		r.accept(value, at)
		return Plausible
	}
	if r.doubts > 0 && value.Compare(r.doubtful) >= 0 {
		r.doubts++
	} else {
		r.doubts = 1
	}
	r.doubtful = value
	if r.doubts < acceptAfter {
		return Withheld
	}
	// Who rises too fast again and again is read in another unit than we think.
	r.unlimited = r.unlimited || value.Compare(r.value) > 0
	r.accept(value, at)
	return Reset
}

func (r *Register) accept(value protocol.Decimal, at time.Time) {
	r.read, r.value, r.at, r.doubts = true, value, at, 0
}

func (r *Register) plausible(value protocol.Decimal, at time.Time, digits int, watts int64) bool {
	switch {
	case !r.read:
		return true
	case digits == 0: // nobody knows where it begins anew; the digits behind the point may vary
		return value.Compare(r.value) >= 0
	case value.Scale != r.value.Scale:
		return true
	}
	span := pow10(digits)
	rise := value.Coefficient - r.value.Coefficient
	most := span
	if watts > 0 && !r.unlimited {
		// The host may have slept, which its monotonic clock does not know of; the meter has counted on.
		passed := max(at.Sub(r.at), at.Round(0).Sub(r.at.Round(0)))
		most = min(most, mostRise(watts, passed, value.Scale))
	}
	if rise < 0 {
		rise += span
		most = min(most, span/100) // else any fall would be a new beginning
	}
	return rise <= most
}

// mostRise returns by how much a register of kWh may have risen, in units of its last digit.
func mostRise(watts int64, in time.Duration, scale uint8) int64 {
	const (
		slack   = 10 * time.Second // meters bring their registers up to date now and then
		longest = 365 * 24 * time.Hour
	)
	seconds := int64(min(max(in, 0)+slack, longest) / time.Second)
	return 2 + watts*seconds/3600*pow10(int(scale))/1000
}

func pow10(n int) int64 {
	p := int64(1)
	for range min(n, 18) {
		p *= 10
	}
	return p
}
