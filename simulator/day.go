package simulator

import (
	"math/bits"
	"time"
)

// zone is the time that the meters keep.
var zone = time.FixedZone("UTC+8", 8*3600)

// epoch is when the meters began to count, a Monday.
var epoch = time.Date(1999, 1, 4, 0, 0, 0, 0, zone)

// An instant counts seconds since epoch.
type instant int64

func instantOf(t time.Time) instant { return instant(t.Unix() - epoch.Unix()) }

// time returns the instant as a meter's clock shows it.
func (i instant) time() time.Time { return epoch.Add(time.Duration(i) * time.Second) }

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day

	// slot is how long the load keeps its value. The slots of an hour come in pairs, one
	// as much above the mean of the hour as the other is below, so energy needs no sum
	// over all slots since epoch.
	slot = 10

	phases  = 3
	tariffs = 4
)

// A quantity is what is integrated to an energy and averaged to a demand.
type quantity int

const (
	forwardActive   quantity = iota
	reverseActive            // fed back
	quadrant1                // reactive, inductive
	quadrant4                // reactive, capacitive
	forwardApparent          // the phases added up
	reverseApparent
	quantities
)

// A power is what is drawn at one moment, by quantity, in tenths of a watt, a var or a
// volt-ampere: the last digit of the power registers.
type power [quantities]int64

// active returns the active power, below zero where it is fed back.
func (p power) active() int64 { return p[forwardActive] - p[reverseActive] }

// reactive returns the reactive power, below zero where it is capacitive.
func (p power) reactive() int64 { return p[quadrant1] - p[quadrant4] }

// apparent returns the apparent power, below zero with the active power.
func (p power) apparent() int64 { return p[forwardApparent] - p[reverseApparent] }

// A load is the power of the phases.
type load [phases]power

// total adds up the phases.
func (l load) total() (total power) {
	for _, p := range l {
		for q, value := range p {
			total[q] += value
		}
	}
	return total
}

// of returns the power of a phase, 1 to 3, or the total for phase 0.
func (l load) of(phase int) power {
	if phase == 0 {
		return l.total()
	}
	return l[phase-1]
}

// A work is a load integrated over time, by tariff (0 is tariff 1), in tenths of a
// watt second.
type work [phases][tariffs]power

func (w *work) add(l load, seconds int64, tariff int) {
	for p := range l {
		for q, value := range l[p] {
			w[p][tariff][q] += value * seconds
		}
	}
}

// plus returns w + n × v.
func (w work) plus(n int64, v work) work {
	for p := range v {
		for t := range v[p] {
			for q := range v[p][t] {
				w[p][t][q] += n * v[p][t][q]
			}
		}
	}
	return w
}

// The shape of a day, hour by hour: power as per mille of the mean, on workdays and at the
// weekend, and reactive power as per mille of active power, below zero where capacitive.
var (
	shapes = [2][24]int64{
		{350, 320, 300, 300, 320, 450, 850, 1350, 1250, 950, 900, 1000, 1150, 950, 850, 850, 950, 1250, 1750, 2150, 2050, 1700, 1100, 600},
		{450, 380, 330, 310, 310, 350, 500, 800, 1100, 1300, 1350, 1450, 1600, 1350, 1200, 1150, 1200, 1450, 1850, 2200, 2100, 1800, 1250, 750},
	}
	reactance = [24]int64{-180, -200, -220, -220, -200, -120, 150, 250, 320, 380, 400, 390, 350, 380, 400, 400, 380, 330, 280, 240, 230, 220, 100, -90}
)

// tariffOf gives the tariff (0 is tariff 1) of an hour of the day: 1 sharp, 2 peak, 3 flat,
// 4 valley.
func tariffOf(hourOfDay int64) int {
	switch {
	case hourOfDay >= 19 && hourOfDay < 21:
		return 0
	case hourOfDay >= 8 && hourOfDay < 11, hourOfDay >= 18 && hourOfDay < 19, hourOfDay >= 21 && hourOfDay < 22:
		return 1
	case hourOfDay >= 23 || hourOfDay < 7:
		return 3
	}
	return 2
}

// A household is the load behind one meter.
type household struct {
	seed  uint64
	mean  [2][24]load // by kind of day and hour
	weeks work        // of any whole week
}

// newHousehold makes a load on so many phases. One that feeds has a solar plant whose power,
// less than one would hope for, exceeds the load for three hours a day.
func newHousehold(seed uint64, connected int, feeding bool) *household {
	h := &household{seed: seed}
	for phase := range connected {
		level := 4000 + int64(h.noise(1, int64(phase))%4000) // 400 to 800 W
		for kind := range shapes {
			for hourOfDay, shape := range shapes[kind] {
				if feeding && hourOfDay >= 11 && hourOfDay < 14 {
					back := level * 30 / 100
					h.mean[kind][hourOfDay][phase] = power{reverseActive: back, reverseApparent: back}
					continue
				}
				active := level * shape / 1000
				reactive := active * reactance[hourOfDay] / 1000
				h.mean[kind][hourOfDay][phase] = power{
					forwardActive:   active,
					quadrant1:       max(reactive, 0),
					quadrant4:       max(-reactive, 0),
					forwardApparent: squareRoot(active*active + reactive*reactive),
				}
			}
		}
	}
	for dayOfWeek := range int64(7) {
		for hourOfDay, l := range h.mean[kindOf(dayOfWeek)] {
			h.weeks.add(l, hour, tariffOf(int64(hourOfDay)))
		}
	}
	return h
}

// kindOf tells workdays (0) from days of the weekend (1); day 0 is a Monday.
func kindOf(dayOfWeek int64) int { return int(dayOfWeek / 5) }

// noise returns a number that depends on the household, a purpose and a place only.
func (h *household) noise(purpose uint64, place int64) uint64 {
	return mix(h.seed ^ mix(purpose<<56^uint64(place)))
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func squareRoot(n int64) int64 {
	if n < 2 {
		return n
	}
	root := int64(1) << ((bits.Len64(uint64(n)) + 1) / 2) // not below the root
	for {
		next := (root + n/root) / 2
		if next >= root {
			return root
		}
		root = next
	}
}

// varied scales a power by 1000 + perMille. Rounding is towards the given power on both
// sides of it, so that the two halves of a pair add up to twice the power exactly.
func varied(power, perMille int64) int64 { return power + power*perMille/1000 }

// hourly returns the mean load of an hour, which counts from epoch. A day of a pair
// (Monday and Tuesday, Wednesday and Thursday, Saturday and Sunday) lies as much above the
// usual as the other lies below.
func (h *household) hourly(hours int64) load {
	days, hourOfDay := hours/24, hours%24
	weeks, dayOfWeek := days/7, days%7
	l := h.mean[kindOf(dayOfWeek)][hourOfDay]
	if dayOfWeek == 4 {
		return l
	}
	pair, second := dayOfWeek/2, dayOfWeek%2 == 1
	if dayOfWeek > 4 {
		pair, second = 3, dayOfWeek == 6
	}
	perMille := int64(h.noise(2, weeks*4+pair)%301) - 150
	if second {
		perMille = -perMille
	}
	return l.varied([phases]int64{perMille, perMille, perMille})
}

func (l load) varied(perMille [phases]int64) load {
	for p := range l {
		for q := range l[p] {
			l[p][q] = varied(l[p][q], perMille[p])
		}
	}
	return l
}

// within returns the load of a slot of the hour whose mean load is given; slots count
// from epoch.
func (h *household) within(mean load, slots int64) load {
	var perMille [phases]int64
	for p := range perMille {
		perMille[p] = int64(h.noise(3, slots/2*phases+int64(p))%601) - 300
		if slots%2 == 1 {
			perMille[p] = -perMille[p]
		}
	}
	return mean.varied(perMille)
}

// load returns the power drawn at an instant; none before epoch.
func (h *household) load(at instant) load {
	if at < 0 {
		return load{}
	}
	return h.within(h.hourly(int64(at)/hour), int64(at)/slot)
}

// work returns the energy drawn from epoch to an instant: the exact integral of load.
func (h *household) work(at instant) work {
	if at <= 0 {
		return work{}
	}
	end := int64(at)
	w := work{}.plus(end/week, h.weeks)
	for hours := end / week * (week / hour); hours < end/hour; hours++ {
		w.add(h.hourly(hours), hour, tariffOf(hours%24))
	}
	tariff := tariffOf(end / hour % 24)
	mean := h.hourly(end / hour)
	pairs, rest := end%hour/(2*slot), end%(2*slot)
	w.add(mean, pairs*2*slot, tariff)
	current := end / (2 * slot) * 2
	w.add(h.within(mean, current), min(rest, slot), tariff)
	w.add(h.within(mean, current+1), max(rest-slot, 0), tariff)
	return w
}

// wander returns a value within ±span that drifts from one support to the next, which are
// step seconds apart.
func (h *household) wander(purpose uint64, at instant, step, span int64) int64 {
	place, rest := int64(at)/step, int64(at)%step
	support := func(place int64) int64 { return int64(h.noise(purpose, place)%uint64(2*span+1)) - span }
	return (support(place)*(step-rest) + support(place+1)*rest) / step
}

// voltage returns the voltage of a phase in tenths of a volt. It sags a little under load.
func (h *household) voltage(phase int, at instant) int64 {
	purpose := uint64(16 + phase)
	return 2206 + h.wander(purpose, at, minute, 14) + h.wander(purpose+phases, at, hour, 30) -
		h.load(at)[phase].active()/1000
}

// frequency returns the frequency of the grid in hundredths of a hertz.
func (h *household) frequency(at instant) int64 { return 5000 + h.wander(32, at, 20, 3) }

// temperature returns the temperature inside the meter in tenths of a degree Celsius.
func (h *household) temperature(at instant) int64 { return 245 + h.wander(33, at, 2*hour, 60) }
