// Package limit keeps what others make us log within bounds: how often a kind of line comes, and how
// much of what somebody sent stands in it.
package limit

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Logger logs a kind of message at most once a minute and then says how many it kept to itself.
type Logger struct {
	to    *slog.Logger
	mu    sync.Mutex
	kinds map[string]*tally
}

type tally struct {
	last   time.Time
	silent int // lines that were not logged since
}

// New returns a Logger that writes to another.
func New(to *slog.Logger) *Logger { return &Logger{to: to, kinds: map[string]*tally{}} }

// Warn logs a warning. Kinds come from a closed list: they are kept for ever.
func (l *Logger) Warn(of, message string, arguments ...any) {
	l.Log(slog.LevelWarn, of, message, arguments...)
}

// Log logs a message of a kind at a level.
func (l *Logger) Log(level slog.Level, of, message string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[of]
	if k == nil {
		k = &tally{}
		l.kinds[of] = k
	}
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < time.Minute {
		k.silent++
		return
	}
	if k.silent > 0 {
		arguments = append(arguments, "not_logged_since", k.silent)
	}
	k.last, k.silent = now, 0
	l.to.Log(context.Background(), level, message, arguments...)
}

// Kinds returns how many kinds have been logged.
func (l *Logger) Kinds() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kinds)
}

// To returns the logger behind it, for lines that are not limited.
func (l *Logger) To() *slog.Logger { return l.to }

// Cut returns the first bytes of a text, at most so many, and marks that there was more. What it cuts it
// copies, so that the rest can go.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// Quote quotes a text of which it shows at most so many bytes, and marks that there was more.
func Quote(text string, most int) string {
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + "…"
}
