package bridge

import (
	"errors"
	"slices"
	"sync"

	"dlt645-mqtt/protocol"
)

const (
	// refusalsOfPassword hold a password back. Many meters take none for a day after the third
	// wrong one (DL/T 645-2007, clause 7.6, and the makers' manuals).
	refusalsOfPassword = 2

	// mostGuarded bounds the memory for refusals.
	mostGuarded = 10_000

	notAuthorised = "not_authorised"
)

// causesOfRefusal says what to look at when a meter refuses for the password.
const causesOfRefusal = "the meter did not authorise this: the password may be wrong for this level, the meter may want its programming key pressed, or it may take commands only through its security module (levels 98 and 99)"

// A guard counts how often in a row a meter has refused the passwords of a level. The meter
// counts them too, whatever they were, and raw frames may bring any. The zero value has seen none.
type guard struct {
	mu       sync.Mutex
	refusals map[guarded]int
}

// guarded names a level of a meter's passwords.
type guarded struct{ address, level string }

func guardedOf(address, password string) guarded { return guarded{address, password[:2]} }

// check refuses a password of a level of which the meter has refused two in a row. password is
// level and digits, or empty where a command has none.
func (g *guard) check(address, password string) error {
	if password == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.refusals[guardedOf(address, password)]; n >= refusalsOfPassword {
		return problemf(CodeRefused, `nothing was sent: the meter has refused %d times in a row (%s); meters lock themselves for a day after some more, so passwords of level %s are held back from this meter until a request says "retry_password":true`,
			n, causesOfRefusal, password[:2])
	}
	return nil
}

// forgive forgets what was refused of a meter's level.
func (g *guard) forgive(address, password string) {
	if password == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.refusals, guardedOf(address, password))
}

// note counts the answer of a meter to a command with a password.
func (g *guard) note(address, password string, err error) {
	var refusal *protocol.Refusal
	switch {
	case err == nil:
		g.forgive(address, password)
	case errors.As(err, &refusal) && isPasswordRefusal(refusal):
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.refusals == nil {
			g.refusals = map[guarded]int{}
		}
		for key := range g.refusals {
			if len(g.refusals) < mostGuarded {
				break
			}
			delete(g.refusals, key)
		}
		g.refusals[guardedOf(address, password)]++
	}
}

func isPasswordRefusal(refusal *protocol.Refusal) bool {
	return slices.Contains(refusal.Reasons, notAuthorised)
}

// watch has the answer to a step that carries a password noted as soon as it is read, before
// another command can go to the meter.
func (g *guard) watch(step *protocol.Step, address, password string) {
	take := step.First.Take
	if take == nil {
		return
	}
	step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		next, result, err := take(answer)
		g.note(address, password, err)
		return next, result, err
	}
}
