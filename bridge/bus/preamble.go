package bus

import "dlt645-mqtt/protocol"

const (
	// provenAnswers in a row, to requests with all wake-up bytes, make a meter worth trying
	// with fewer; after each failure twice as many.
	provenAnswers = 8
	mostDoublings = 10
)

// A preamble is what is known of how many wake-up bytes a meter needs before a request. It is
// found out with reads that may be tried again: the second try has all of them.
type preamble struct {
	answers  int  // in a row
	short    bool // the meter gets the fewest that its protocol allows
	failures int  // how often it was silent to those and answered to all
}

// wakeUps returns how many wake-up bytes go before a request if nothing was learned.
func (s *Settings) wakeUps(n needs) int {
	if s.FixedWakeUps && n.WakeUps > 0 {
		return s.WakeUps
	}
	return n.WakeUps
}

// preamble returns how many wake-up bytes go before a request in a try of a step.
func (b *Bus) preamble(step *protocol.Step, tries int) int {
	needs := needsOf(step)
	all := b.config.wakeUps(needs)
	if b.config.FixedWakeUps || needs.Fewest == 0 || all <= needs.Fewest || tries > 1 || !step.Repeatable || step.Class == protocol.ClassScan {
		return all
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.meters[step.Meter]; m != nil && m.preamble.short && !m.offline {
		return needs.Fewest
	}
	return all
}

// answered takes in that the meter has answered: in the first try, or in the second, after
// there was none to a request with fewer wake-up bytes.
func (p *preamble) answered(tries int, shortFailed bool) {
	if shortFailed {
		p.short, p.answers = false, 0
		p.failures = min(p.failures+1, mostDoublings)
		return
	}
	if tries > 1 {
		p.answers = 0
		return
	}
	if p.answers++; p.answers >= provenAnswers<<p.failures {
		p.short = true
	}
}
