package bridge

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// How long, and how many, commands are remembered. The bus carries some thousand in that time.
const (
	repeatMemory  = 10 * time.Minute
	repeatEntries = 10_000

	// mostWaiting is how many repeats of a command may wait for the answer to it.
	mostWaiting = 20
)

// repeats remembers the commands of the last ten minutes by the mark that their sender put on
// them, so that a message which comes twice does not run twice. The zero value is empty.
type repeats struct {
	mu      sync.Mutex
	entries map[mark]*remembered
	oldest  []*remembered // all, in the order in which they came
}

// A remembered command is in hand until it has an answer.
type remembered struct {
	key     mark
	body    [sha256.Size]byte
	meter   protocol.MeterKey
	since   time.Time
	answer  *answer
	waiting []*request // repeats that came before the answer
}

// An answer is a reply that can be given again.
type answer struct {
	reply   *reply
	payload []byte // of a binary reply
}

// A mark tells a repeat of a command; the zero value tells none.
type mark [sha256.Size]byte

// mark is made of the topic with the id, or else with correlation data long enough not to be a
// counter that begins anew.
func (r *request) mark() mark {
	var id string
	switch {
	case len(r.id) > 0 && json.Unmarshal(r.id, &id) == nil: // the same id may be written in several ways
		return sha256.Sum256([]byte(r.topic + "\x00id\x00" + id))
	case len(r.correlation) >= 8:
		return sha256.Sum256([]byte(r.topic + "\x00correlation\x00" + string(r.correlation)))
	}
	return mark{}
}

// find tells what to do with a repeat of a command: give it the answer, or nothing if it will get
// it later. An error is the answer to a mark used twice for different things.
func (p *repeats) find(r *request, now time.Time) (repeat bool, first *answer, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lookUp(r, now)
}

// lookUp is find with the lock held.
func (p *repeats) lookUp(r *request, now time.Time) (repeat bool, first *answer, err error) {
	p.forget(now)
	e := p.entries[r.mark()]
	switch {
	case e == nil:
		return false, nil, nil
	case e.body != sha256.Sum256(r.payload):
		return false, nil, problemf(CodeConflict, "this id has been used in the last ten minutes for a request with another body; nothing was sent")
	case p.isSuperseded(e):
		return false, nil, problemf(CodeConflict, "this request was carried out before, and another command went to meter %s since; nothing was sent", e.meter)
	case e.answer == nil && len(e.waiting) >= mostWaiting:
		return false, nil, problemf(CodeBusy, "this request is being carried out, and %d repeats of it wait for the answer", mostWaiting)
	case e.answer == nil:
		r.payload = nil // it may be long
		e.waiting = append(e.waiting, r)
	}
	return true, e.answer, nil
}

// enter admits a command to meter, unless it is a repeat: see find.
func (p *repeats) enter(r *request, meter protocol.MeterKey, now time.Time) (repeat bool, first *answer, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if repeat, first, err = p.lookUp(r, now); repeat || err != nil {
		return repeat, first, err
	}
	if len(p.oldest) >= repeatEntries {
		return false, nil, problemf(CodeBusy, "%d commands in ten minutes are too many to keep apart", repeatEntries)
	}
	if p.entries == nil {
		p.entries = map[mark]*remembered{}
	}
	key := r.mark()
	e := &remembered{key: key, body: sha256.Sum256(r.payload), meter: meter, since: now}
	p.oldest = append(p.oldest, e)
	if key != (mark{}) {
		p.entries[key] = e
	}
	r.command.remembered = e
	return false, nil, nil
}

// isSuperseded reports whether another command went to the meter after e.
func (p *repeats) isSuperseded(e *remembered) bool {
	for _, later := range slices.Backward(p.oldest) {
		if later == e {
			return false
		}
		if later.meter == e.meter {
			return true
		}
	}
	return false
}

// withdraw forgets a command of which nothing was sent: it may be tried again.
func (p *repeats) withdraw(e *remembered) (waiting []*request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.entries, e.key)
	for i := range slices.Backward(p.oldest) { // most are withdrawn soon
		if p.oldest[i] == e {
			p.oldest = slices.Delete(p.oldest, i, i+1)
			break
		}
	}
	return e.waiting
}

// finish keeps the answer and returns the repeats that wait for it.
func (p *repeats) finish(e *remembered, a *answer) (waiting []*request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.answer = a
	waiting, e.waiting = e.waiting, nil
	return waiting
}

// forget drops what is older than the memory reaches. A command in hand stays.
func (p *repeats) forget(now time.Time) {
	n := 0
	for n < len(p.oldest) && p.oldest[n].answer != nil && now.Sub(p.oldest[n].since) > repeatMemory {
		delete(p.entries, p.oldest[n].key)
		n++
	}
	p.oldest = slices.Delete(p.oldest, 0, n)
}

// isRepeat reports whether a request is a repeat of a command that has, or will have, its answer, and
// sees to it that it gets it.
func (b *Bridge) isRepeat(r *request, repeat bool, first *answer) bool {
	if first != nil {
		b.repeat(r, first)
		b.admission.leave()
	}
	return repeat
}

// sendFirst publishes the reply to a command that is no repeat, and to the repeats of it that wait. Whoever has the
// answer may rely on it, so it is kept first, unless nothing of the command was sent.
func (b *Bridge) sendFirst(r *request, a *reply, payload []byte, contentType string) {
	b.countReply(r.verb, a.ending())
	kept := *a
	first := &answer{reply: &kept}
	if contentType == mqtt.Bytes {
		first.payload = payload
	}
	kept.Frames = nil // too much to keep of ten thousand commands
	var waiting []*request
	switch {
	case r.command.remembered == nil:
	case a.Error != nil:
		waiting = b.repeats.withdraw(r.command.remembered)
	default:
		waiting = b.repeats.finish(r.command.remembered, first)
	}
	b.publishReply(r, a, payload, contentType)
	b.audit(r, a)
	b.reportCommand(r, a)
	for _, other := range waiting {
		b.repeat(other, first)
		b.admission.leave()
	}
}

// repeat gives a repeat of a command the answer to the first.
func (b *Bridge) repeat(r *request, first *answer) {
	again := *first.reply
	again.Repeated = true
	if first.payload != nil {
		b.sendAs(r, &again, first.payload, mqtt.Bytes)
		return
	}
	b.send(r, &again)
}

// withdraw fails all waiting repeats of a command that never started, with that command's error.
func (b *Bridge) withdraw(r *request, err error) {
	for _, waiting := range b.repeats.withdraw(r.command.remembered) {
		b.fail(waiting, err)
		b.admission.leave()
	}
	r.command.remembered = nil
}
