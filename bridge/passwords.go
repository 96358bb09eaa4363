package bridge

import (
	"errors"
	"sync"

	"dlt645-mqtt/protocol"
)

const (
	// refusalsOfPassword hold a password back. Many meters take none for a day after the third
	// wrong one.
	refusalsOfPassword = 2

	// mostGuarded bounds the memory for refusals.
	mostGuarded = 10_000
)

// A guard counts how often in a row a meter has refused the passwords of a level. The meter
// counts them too, whatever they were, and raw frames may bring any. The zero value has seen none.
type guard struct {
	mu       sync.Mutex
	refusals map[guarded]refused
}

// guarded names a level of a meter's passwords; without a level, none.
type guarded struct {
	meter protocol.MeterKey
	level string
}

// refused is what a meter has said to the passwords of a level.
type refused struct {
	times  int    // in a row
	advice string // what to look at
}

// check refuses a password of a level of which the meter has refused two in a row.
func (g *guard) check(of guarded) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.refusals[of]; r.times >= refusalsOfPassword {
		return problemf(CodeRefused, `nothing was sent: the meter has refused %d times in a row (%s); meters lock themselves for a day after some more, so passwords of level %s are held back from this meter until a request says "retry_password":true`,
			r.times, r.advice, of.level)
	}
	return nil
}

// forgive forgets what was refused of a meter's level.
func (g *guard) forgive(of guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.refusals, of)
}

// note counts the answer of a meter to a command with a password.
func (g *guard) note(of guarded, err error) {
	switch {
	case err == nil:
		g.forgive(of)
	case errors.Is(err, protocol.ErrUnauthorised):
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.refusals == nil {
			g.refusals = map[guarded]refused{}
		}
		for key := range g.refusals {
			if len(g.refusals) < mostGuarded {
				break
			}
			delete(g.refusals, key)
		}
		g.refusals[of] = refused{g.refusals[of].times + 1, adviceOf(err)}
	}
}

// adviceOf returns what to look at after a refusal.
func adviceOf(err error) string {
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) && refusal.Advice != "" {
		return refusal.Advice
	}
	return protocol.ErrUnauthorised.Error()
}

// noteAnswers has the answer to a step that carries a password noted as soon as it is read, before
// another command can go to the meter.
func (g *guard) noteAnswers(step *protocol.Step, of guarded) {
	take := step.First.Take
	if take == nil {
		return
	}
	step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		next, result, err := take(answer)
		g.note(of, err)
		return next, result, err
	}
}
