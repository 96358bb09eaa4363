package main

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
)

// newLog writes to w as text, in colour on a terminal, or as JSON.
func newLog(w io.Writer, format string, level slog.Level) *slog.Logger {
	if format == "json" {
		return newSayingLog(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return newTextLog(w, level, isTerminal(w) && os.Getenv("NO_COLOR") == "")
}

func newTextLog(w io.Writer, level slog.Level, colour bool) *slog.Logger {
	options := tint.Options{Level: level, NoColor: !colour, TimeFormat: "2006-01-02 15:04:05.000"}
	if colour {
		options.ReplaceAttr = harmless
	}
	return newSayingLog(tint.NewTextHandler(w, &options))
}

// newSayingLog logs in the language that people want.
func newSayingLog(h slog.Handler) *slog.Logger {
	if inChinese() {
		h = sayingHandler{h}
	}
	return slog.New(h)
}

// harmless keeps escape sequences of clients from the terminal. In colour tint lets them through, for
// values that bring colours of their own, and makes one even of `\x1b` that was escaped before.
func harmless(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch value := a.Value.Any().(type) {
	case string:
		text = value
	case error:
		text = value.Error()
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, `\x1b`) {
		a.Value = slog.StringValue(strings.NewReplacer("\x1b", `\u001b`, `\x1b`, `\u001b`).Replace(text))
	}
	return a
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
