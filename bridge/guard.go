package bridge

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

const (
	// refusalsOfPassword hold a password back. Many meters take none for a day after the third
	// wrong one (DL/T 645-2007, clause 7.6, and the makers' manuals).
	refusalsOfPassword = 2

	// mostGuarded bounds the memory for passwords that were refused.
	mostGuarded = 10_000

	notAuthorised = "not_authorised"
)

// causesOfRefusal says what to look at when a meter refuses for the password.
const causesOfRefusal = "the meter did not authorise this: the password may be wrong for this level, the meter may want its programming key pressed, or it may take commands only through its security module (levels 98 and 99)"

// A guard counts how often in a row a meter has refused a password. The zero value has seen none.
type guard struct {
	mu       sync.Mutex
	refusals map[guarded]int
}

// guarded names a password of a meter without holding it.
type guarded struct {
	address, level string
	password       [sha256.Size]byte
}

func guardedOf(address, password string) guarded {
	return guarded{address, password[:2], sha256.Sum256([]byte(password))}
}

// check refuses a password that the meter has refused twice in a row. password is level and
// digits, or empty where a command has none.
func (g *guard) check(address, password string) error {
	if password == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.refusals[guardedOf(address, password)]; n >= refusalsOfPassword {
		return problemf(CodeRefused, `nothing was sent: %d times in a row %s; meters lock themselves for a day after some more, so the password of level %s is held back until "retry_password":true is given or another one is configured`,
			n, strings.TrimPrefix(causesOfRefusal, "the meter "), password[:2])
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
	for key := range g.refusals {
		if key.address == address && key.level == password[:2] {
			delete(g.refusals, key)
		}
	}
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
		if g.refusals == nil || len(g.refusals) >= mostGuarded {
			g.refusals = map[guarded]int{}
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
