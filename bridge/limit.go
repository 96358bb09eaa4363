package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A limiter logs a kind of message at most once a minute and then says how many it kept to itself.
type limiter struct {
	logger *slog.Logger
	mu     sync.Mutex
	kinds  map[string]*limited
}

type limited struct {
	last   time.Time
	silent int
}

func (l *limiter) log(kind, message string, arguments ...any) {
	l.at(slog.LevelWarn, kind, message, arguments...)
}

// at does so at another level.
func (l *limiter) at(level slog.Level, kind, message string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[string]*limited{}
	}
	k := l.kinds[kind]
	if k == nil {
		k = &limited{}
		l.kinds[kind] = k
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
	l.logger.Log(context.Background(), level, message, arguments...)
}
