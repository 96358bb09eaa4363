package bus

import (
	"bufio"
	"bytes"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// What holds of lines of which a protocol does not say it: the longest silence within a frame, with what
	// drivers take that hand over bytes in lots, and the longest frame in bytes.
	usualByteGap = 100 * time.Millisecond
	usualLongest = 256

	// patienceWithinFrame bounds how long an answer that has begun may drag on beyond the
	// time its bytes need.
	patienceWithinFrame = 5 * time.Second

	// listenTurn is how long the line listens at a time, and stall how much longer that may take
	// before the process, or the whole machine, must have been stopped meanwhile.
	listenTurn = 250 * time.Millisecond
	stall      = 400 * time.Millisecond

	// mostPending bounds an unfinished frame, mostIgnored what is kept of noise for traces.
	mostPending = 64 << 10
	mostIgnored = 1 << 10
)

// A line carries one exchange at a time. Only the goroutine of Bus.Run uses it.
type line struct {
	port     Port
	settings Settings
	mode     protocol.Mode // of the port now; without a speed: not known
	active   time.Time     // when a byte was last sent or heard
	free     time.Time     // when the next request may go
	echo     bool          // the last exchange heard its own request
	mirror   mirror
	turn     func(now time.Time) // is called while the line listens, at least once in idleTurn
	heed     func(data []byte)   // is given what came while nobody was waited for
	buffer   [4096]byte
}

// A hearing is what came of one exchange.
type hearing struct {
	sent    time.Time     // when the request began to leave; zero if nothing left
	end     time.Time     // when its last bit was out
	answer  []byte        // nil: none
	came    time.Time     // when the last byte heard arrived
	ignored []byte        // what else was heard, as far as it is kept
	ours    bool          // a cut frame was our own request
	garbled bool          // something else was heard, and it was more than our own echo
	strays  []byte        // of what was ignored, all but cut frames
	doubted [][]byte      // the cut frames that were doubtful
	stale   time.Time     // since when the process was stopped, when what came last may have come; zero: it was not
	stopped bool          // the process was at any time
	took    time.Duration // from the first byte of the request to the last of the answer
	full    time.Duration // that the bytes of both take on the line
}

// A verdict is what a cut frame is worth.
type verdict struct {
	ours     bool // it is the request, sent back by the line: nothing at all
	doubtful bool
	until    time.Time // if it is doubtful: the line listens at least until then for a better one
}

// exchange sends the request of e after some wake-up bytes and listens for the answer, which
// must have begun to arrive a wait after the last bit of the request. A cut frame that judge
// finds doubtful is no answer: the line listens on for a better one. judge is given the hearing as
// it would be with this answer. An error means that the port is broken.
func (l *line) exchange(e *protocol.Exchange, n needs, preamble int, wait time.Duration, judge func(h *hearing, answer []byte) verdict) (hearing, error) {
	var h hearing
	// What arrived before the request cannot be its answer; nor what comes while the process is
	// stopped before it sends it.
	for {
		from := time.Now()
		if err := l.discard(); err != nil {
			return hearing{}, err
		}
		if h.sent = time.Now(); Age(from, h.sent) <= stall {
			break
		}
	}

	out := append(bytes.Repeat([]byte{n.WakeUp}, preamble), e.Request...)
	h.full = l.mode.Duration(len(out))
	_, err := l.port.Write(out)
	// A driver takes the bytes at once and lets them go at the line's speed.
	h.end = h.sent.Add(h.full)
	if now := time.Now(); now.After(h.end) {
		h.end = now
	}
	l.active = h.end
	if err != nil {
		return h, err
	}
	if e.Answer == nil {
		l.free = h.end.Add(max(e.Rest, l.settings.Gap))
		return h, nil
	}

	err = l.listen(&h, n, e.Answer, h.end.Add(wait), judge)
	if !h.came.IsZero() {
		l.echo = bytes.Contains(h.ignored, e.Request)
		l.active = h.came
	}
	if err == nil {
		l.mirror.learn(l.echo && !h.came.IsZero(), repeatsRequest(e))
	}
	h.garbled = len(n.remainder(h.ignored, e.Request)) > 0
	if h.answer != nil {
		l.free = h.came.Add(l.settings.Gap)
	}
	return h, err
}

// listen waits for the answer, which must have begun to arrive by latest.
func (l *line) listen(h *hearing, needs needs, split bufio.SplitFunc, latest time.Time, judge func(*hearing, []byte) verdict) error {
	w := answerWait{
		line: l, hearing: h,
		gap: needs.byteGap() + l.settings.Latency, lull: needs.lull(l.mode),
		latest: latest, until: latest, limit: latest.Add(patienceWithinFrame + l.mode.Duration(needs.longest())),
		seen: time.Now(),
	}
	if w.lull > 0 && l.settings.Packed {
		w.lull += l.settings.Latency
	}
	for {
		if err := w.read(); err != nil {
			return err
		}
		if w.cutFrames(split, judge) || w.over {
			return nil
		}
		w.extend()
	}
}

// An answerWait is the wait for the answer to one request. Noise does not make it longer than until latest; an
// unfinished frame does, from byte to byte. Where only silence ends a frame, what has come is looked at after
// each.
type answerWait struct {
	line    *line
	hearing *hearing

	gap    time.Duration // the longest between two bytes of a frame
	lull   time.Duration // the silence that ends a frame; 0: none does
	latest time.Time     // when the answer has to begin
	limit  time.Time     // when it has to be whole
	until  time.Time     // how long is listened, as it looks now

	pending  []byte    // what has come and belongs to no frame yet
	lulled   bool      // the silence has come that ends a frame
	over     bool      // nothing more is waited for
	overtime bool      // what had come by the end has been read
	seen     time.Time // when it was last looked whether something has come
	stopped  time.Time // since when the process was stopped, and nothing has come since it goes on
}

// read waits a turn for bytes, and finds out whether a silence, or the whole wait, is over.
func (w *answerWait) read() (err error) {
	l, h := w.line, w.hearing
	n, next := 0, w.until
	lulled := false
	if end := h.came.Add(w.lull); w.lull > 0 && len(w.pending) > 0 && end.Before(w.until) {
		next, lulled = end, !time.Now().Before(end)
	}
	wait := min(time.Until(next), listenTurn)
	if wait > 0 {
		n, err = l.port.Read(l.buffer[:], wait)
	}
	now := time.Now()
	if Age(w.seen, now) > max(wait, 0)+stall && w.stopped.IsZero() {
		w.stopped, h.stopped = w.seen, true
	}
	w.seen = now
	expired := !now.Before(w.until)
	if (expired && !w.overtime || lulled) && n == 0 && err == nil {
		// A process that was stopped for longer than it would have waited finds here what
		// came meanwhile.
		n, err = l.port.Read(l.buffer[:], 0)
		w.overtime = w.overtime || expired
	}
	if err != nil {
		return err
	}
	l.turn(time.Now())
	if n > 0 {
		h.came = time.Now()
		h.stale, w.stopped = w.stopped, time.Time{}
		w.pending = append(w.pending, l.buffer[:n]...)
	}
	w.over, w.lulled = expired && n == 0 || len(w.pending) > mostPending, lulled && n == 0
	return nil
}

// cutFrames cuts frames out of what has come, and reports whether the answer was one of them. A doubtful one may
// make the wait longer.
func (w *answerWait) cutFrames(split bufio.SplitFunc, judge func(*hearing, []byte) verdict) (answered bool) {
	l, h := w.line, w.hearing
	for {
		token, passed, rest := cut(w.pending, split, w.over || w.lulled)
		h.stray(passed)
		w.pending = rest
		if token == nil {
			break
		}
		h.took = h.came.Sub(h.sent)
		v := judge(h, token)
		if v.ours {
			h.ignore(token)
			h.ours = true
			continue
		}
		if !v.doubtful {
			h.answer = bytes.Clone(token)
			h.full += l.mode.Duration(len(token))
			h.stray(w.pending)
			return true
		}
		h.ignore(token)
		h.doubted = append(h.doubted, bytes.Clone(token))
		if v.until.After(w.latest) {
			w.latest, w.limit = v.until, w.limit.Add(v.until.Sub(w.latest))
			w.over = false
		}
	}
	if w.over || w.lulled {
		h.stray(w.pending)
		w.pending = nil
	}
	return false
}

// extend waits for the next byte of a frame that has begun.
func (w *answerWait) extend() {
	w.until = w.latest
	if more := w.hearing.came.Add(w.gap); len(w.pending) > 0 && more.After(w.until) {
		w.until = more
	}
	if w.until.After(w.limit) {
		w.until = w.limit
	}
}

// discard reads what has arrived without waiting for more. A line that babbles without end
// is left to the split function.
func (l *line) discard() error {
	for range 64 {
		n, err := l.port.Read(l.buffer[:], 0)
		if n == 0 || err != nil {
			return err
		}
		l.active = time.Now()
		l.heed(l.buffer[:n])
	}
	return nil
}

// ignore keeps bytes that are no part of an answer.
func (h *hearing) ignore(data []byte) {
	h.ignored = append(h.ignored, data[:min(len(data), mostIgnored-len(h.ignored))]...)
}

// stray keeps bytes that are no part of a frame that was cut.
func (h *hearing) stray(data []byte) {
	h.ignore(data)
	h.strays = append(h.strays, data[:min(len(data), mostIgnored-len(h.strays))]...)
}

// distinct counts the doubtful frames, each that came more than once as one.
func (h *hearing) distinct() (n int) {
	for i, frame := range h.doubted {
		if !slices.ContainsFunc(h.doubted[:i], func(old []byte) bool { return bytes.Equal(old, frame) }) {
			n++
		}
	}
	return n
}

// cut gives data to split until that returns a frame or can do no more. passed is what went
// before the frame, rest what is left after it.
func cut(data []byte, split bufio.SplitFunc, atEOF bool) (token, passed, rest []byte) {
	rest = data
	for len(rest) > 0 {
		advance, token, err := split(rest, atEOF)
		advance = min(max(advance, 0), len(rest))
		if token != nil {
			if advance == 0 { // or a frame that is not taken would be cut again and again
				advance = min(max(len(token), 1), len(rest))
			}
			passed := data[:len(data)-len(rest)+advance]
			return token, bytes.TrimSuffix(passed, token), rest[advance:]
		}
		rest = rest[advance:]
		if advance == 0 || err != nil {
			break
		}
	}
	return nil, data[:len(data)-len(rest)], rest
}
