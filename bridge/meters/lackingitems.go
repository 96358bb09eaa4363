package meters

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A lack is the reason not to ask a meter for an item: most patterns of a point table name more than a meter
// has. Most meters refuse what they do not have. Some are silent instead; after a silence the rest of the list is not
// asked for, so it would not be read either.
type lack struct {
	refusals int       // in a row
	silences int       // in a row, of a meter that was there
	until    time.Time // when it is worth asking again
}

// A silence is a step that a meter did not answer.
type silence struct {
	meter protocol.MeterKey
	items []string
	block string // empty: the items were not asked for as one
	at    time.Time
}

const (
	// RefusalsOfItem is how often a meter refuses an item before it is not asked for it any more for lackMemory.
	RefusalsOfItem = 2
	lackMemory     = 24 * time.Hour

	// SilencesOfItem is how often a meter leaves an item unanswered before it is not asked for it any more for silenceMemory.
	// Both tries of a read may get lost on a bad line, so that silence takes more to believe than a refusal.
	SilencesOfItem = 4
	silenceMemory  = time.Hour

	// muteWindow is how soon after a silence a meter must be heard to have been there.
	muteWindow = 30 * time.Second
)

// asked returns the items that are worth asking for.
func (w *record) asked(items []string, now time.Time) (asked []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, item := range items {
		if !now.Before(w.lacking[item].until) {
			asked = append(asked, item)
		}
	}
	return asked
}

// arranged returns the items that are worth asking for, those last that the meter was silent to.
// While it is not there, or was not heard since it was silent, the first is any of them, for it may be
// silent to one alone.
func (w *record) arranged(items []string, now time.Time) []string {
	asked := w.asked(items, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(asked, func(a, b string) int { return cmp.Compare(w.lacking[a].silences, w.lacking[b].silences) })
	if len(asked) > 0 && (w.silence != nil || w.presence.known && !w.presence.online) {
		first := rand.N(len(asked)) // in turn they could keep step with those of another round
		asked = slices.Concat(asked[first:], asked[:first])
	}
	return asked
}

// noteLack takes note of what the meter does not have of what a step was to read.
func (k *Keeper) noteLack(w *record, o *Outcome) {
	w.noteAnswer(o)
	if lost := w.noteSilence(o); lost != nil {
		if lost.block != "" {
			k.bus.Meter(lost.meter).Avoid(lost.block)
		}
		k.log.Info("the meter is there, but says nothing when it is asked for this; for an hour it is not polled for it, or not for all at once",
			"meter", w.Name, "how_many", len(lost.items), "such_as", lost.items[0])
	}
	if lost := w.noteRefusal(o); lost != nil {
		k.log.Info("the meter does not have some of its points; it is not polled for them for a day",
			"meter", w.Name, "how_many", len(lost), "such_as", lost[0])
	}
}

// noteRefusal returns what has become known by a step to be lacking. A block that came without a
// member says enough; if it was refused, its members are read singly.
func (w *record) noteRefusal(o *Outcome) (lost []string) {
	if o.Block != "" {
		for _, item := range o.Items {
			if o.Err == nil && w.points[item] != nil && isLacking(&o.Result, item) {
				w.lacking[item] = lack{refusals: RefusalsOfItem, until: o.Time.Add(lackMemory)}
				lost = append(lost, item)
			}
		}
		return lost
	}
	refused := errors.Is(o.Err, protocol.ErrNoSuchData)
	for _, item := range o.Items {
		switch l := w.lacking[item]; {
		case o.Err == nil:
			delete(w.lacking, item)
		case refused && w.asksFor(item):
			if l.refusals++; l.refusals >= RefusalsOfItem {
				l.until = o.Time.Add(lackMemory)
				lost = append(lost, item)
			}
			w.lacking[item] = l
		}
	}
	return lost
}

// isLacking reports whether what a block brought shows that the meter does not have an item: it is not there, and nothing
// is said of it that may pass.
func isLacking(result *protocol.Result, item string) bool {
	if slices.ContainsFunc(result.Values, func(v protocol.Value) bool { return v.Name == item }) {
		return false
	}
	i := slices.IndexFunc(result.Errors, func(e protocol.ItemError) bool { return e.Item == item })
	return i < 0 || errors.Is(result.Errors[i].Err, protocol.ErrNoSuchData)
}

// asksFor reports whether an item is one that the bridge itself asks for.
func (w *record) asksFor(item string) bool {
	role := w.roles[item]
	return w.points[item] != nil || slices.Contains(inspectedRoles, role)
}

// noteAnswer takes note of what the meter says something to, be it a refusal. That it refuses a block
// tells nothing of the members.
func (w *record) noteAnswer(o *Outcome) {
	if !heard(o) || o.Err != nil && o.Block != "" {
		return
	}
	if i := slices.IndexFunc(o.Items, w.asksFor); i >= 0 {
		w.answered = o.Items[i]
	}
}

// noteSilence returns the step to give up on, or nil: one that the meter has ignored SilencesOfItem
// times, though it answered another right after each.
func (w *record) noteSilence(o *Outcome) (lost *silence) {
	silent := errors.Is(o.Err, protocol.ErrSilent)
	last := w.silence
	switch {
	case silent && o.Started && (o.Block != "" || slices.ContainsFunc(o.Items, w.asksFor)):
		w.silence = &silence{o.Meter, o.Items, o.Block, o.Time}
		return nil
	case silent || !heard(o):
		return nil
	}
	w.silence = nil
	for _, item := range o.Items {
		if l, ok := w.lacking[item]; ok && o.Err == nil {
			l.silences = 0
			w.lacking[item] = l
		}
	}
	if last == nil || o.Time.Sub(last.at) > muteWindow {
		return nil
	}
	for _, item := range last.items {
		l := w.lacking[item]
		if l.silences++; l.silences >= SilencesOfItem {
			lost = last
			if last.block == "" {
				l.until = o.Time.Add(silenceMemory)
			} else {
				l.silences = 0 // they are read singly from now on
			}
		}
		w.lacking[item] = l
	}
	return lost
}
