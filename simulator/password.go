package simulator

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The levels of passwords that commands need; a smaller level has more rights.
const (
	levelOfClearing    = 0x02 // clear meter, clear events, relay
	levelOfProgramming = 0x04 // write, clear demand
)

// lockTime is how long a meter takes no password after too many wrong ones.
const lockTime = 24 * time.Hour

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

// authorised checks level and password, PA P0 P1 P2, and counts the wrong ones.
func (m *Meter) authorised(data []byte, level byte, at time.Time) bool {
	if at.Before(m.lockedUntil) {
		return false
	}
	password, ok := m.passwords[data[0]]
	if !ok || !bytes.Equal(data[1:4], password[:]) {
		m.wrong++
		if m.wrong == m.lockAfter {
			m.wrong, m.lockedUntil = 0, at.Add(lockTime)
		}
		return false
	}
	m.wrong = 0
	return data[0] <= level
}

// Locked reports whether the meter takes no password because too many were wrong.
func (m *Meter) Locked(at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return at.Before(m.lockedUntil)
}

// diPasswords is the identifier before that of the password of level 0.
const diPasswords dlt645.DI = 0x04000C00

// answerSetPassword2007 answers function 18H: DI of the password, PA P0 P1 P2 of the old one
// or one of more rights, PA P0 P1 P2 of the new one.
func (m *Meter) answerSetPassword2007(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) != 12 {
		return refuse(errorOther)
	}
	di := identifier(data, 4)
	if di <= diPasswords || di > diPasswords+10 {
		return refuse(errorNoSuchData)
	}
	if byte(di-diPasswords-1) != data[8] {
		return refuse(errorOther)
	}
	return m.changePassword(request, data[4:8], data[8:], at)
}

// answerSetPassword1997 answers function 0FH: PA P0 P1 P2 of the old password and of the new.
func (m *Meter) answerSetPassword1997(request dlt645.Frame, at time.Time) response {
	if len(request.Data) != 8 {
		return refuse(errorOther)
	}
	return m.changePassword(request, request.Data[:4], request.Data[4:], at)
}

func (m *Meter) changePassword(request dlt645.Frame, from, to []byte, at time.Time) response {
	if !m.authorised(from, to[0], at) {
		return refuse(errorNotAuthorised)
	}
	m.passwords[to[0]] = [3]byte(to[1:])
	return m.carriedOut(request, &m.counts.Passwords, to...)
}
