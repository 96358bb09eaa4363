package bus

import "dlt645-mqtt/protocol"

// An adapter without a direction line hears what it sends. Most answers cannot be taken for such an echo, but of some
// commands they are the same as the request. Then the first copy proves nothing on a line that has an echo, and the
// second is the answer.

// echoless is after how many exchanges without an echo, one behind the other, a line that had one has none.
const echoless = 16

// A mirror is what is known of the echo of a line. The zero mirror is of a port that was just opened.
type mirror struct {
	known  bool // an exchange has shown whether there is an echo
	proven bool // one was held for that, whatever came of it
	feared int  // for how many exchanges an echo is still to be feared
}

// learn takes in an exchange. Where the answer is the same as the request it shows an echo only if both came.
func (m *mirror) learn(echo, same bool) {
	switch {
	case echo:
		m.known, m.feared = true, echoless
	case !same:
		m.known, m.feared = true, max(0, m.feared-1)
	}
}

// isFeared reports whether a frame that is the same as the request may be its echo.
func (m *mirror) isFeared() bool { return !m.known || m.feared > 0 }

// mustBeProven reports, once, whether nothing is known of the line yet.
func (m *mirror) mustBeProven() bool {
	if m.known || m.proven {
		return false
	}
	m.proven = true
	return true
}

// repeatsRequest reports whether the answer to an exchange may be the same as its request.
func repeatsRequest(e *protocol.Exchange) bool {
	return e.Answer != nil && newCutter(e.Answer)(e.Request)
}
