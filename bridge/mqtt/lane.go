package mqtt

import "slices"

// A lane is where messages wait, the first to go first. The zero value is empty.
type lane struct {
	messages []Outgoing
	bytes    int // that they take
	sending  int // those that have left it and are on their way
}

// insert puts a message at a place; the end is len(messages).
func (l *lane) insert(at int, m Outgoing) {
	l.messages = slices.Insert(l.messages, at, m)
	l.bytes += m.memory()
}

// append puts a message at the end.
func (l *lane) append(m Outgoing) { l.insert(len(l.messages), m) }

// remove takes the message at a place out.
func (l *lane) remove(at int) Outgoing {
	m := l.messages[at]
	l.bytes -= m.memory()
	if at > 0 {
		l.messages = slices.Delete(l.messages, at, at+1)
		return m
	}
	l.messages[0] = Outgoing{} // or its payload would be kept
	if l.messages = l.messages[1:]; len(l.messages) == 0 {
		l.messages = nil
	}
	return m
}

// send takes the first message out, which is on its way from now on.
func (l *lane) send() Outgoing {
	l.sending++
	return l.remove(0)
}
