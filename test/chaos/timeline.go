//go:build linux

package main

import (
	"slices"
	"sync"
	"time"
)

// A timeline remembers what was disturbed, and when. The zero value is undisturbed.
type timeline struct {
	mu    sync.Mutex
	spans []*disturbance
}

// A disturbance is the time in which something was down, frozen or cut off, or about to recover.
type disturbance struct {
	what     string
	from, to time.Time // to is zero while it lasts
}

// begin notes that something is disturbed from now on. What end is called with is how much
// longer its consequences last.
func (t *timeline) begin(what string) (end func(after time.Duration)) {
	s := &disturbance{what: what, from: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, s)
	return func(after time.Duration) {
		t.mu.Lock()
		defer t.mu.Unlock()
		s.to = time.Now().Add(after)
	}
}

// calm reports whether nothing of what is named was disturbed in a span of time.
func (t *timeline) calm(from, to time.Time, what ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.spans, func(s *disturbance) bool {
		return slices.Contains(what, s.what) && s.from.Before(to) && (s.to.IsZero() || s.to.After(from))
	})
}
