package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/chinese"
)

// inChinese reports whether people want to be spoken to in Chinese. It is asked before the configuration
// has been read, too, for what is wrong with that.
func inChinese() bool { return os.Getenv(prefix+"_LANGUAGE") == homeassistant.Chinese }

// say puts a message into the language that people want. Codes and names stay.
func say(text string) string {
	if inChinese() {
		return chinese.Translate(text)
	}
	return text
}

// sayHelp puts a text of help into the language that people want.
func sayHelp(text string) string {
	if inChinese() {
		return chinese.Help(text)
	}
	return text
}

// A sayingWriter puts lines into the language that people want, one or several with each call.
type sayingWriter struct{ io.Writer }

func (w sayingWriter) Write(text []byte) (int, error) {
	_, err := io.WriteString(w.Writer, say(string(text)))
	return len(text), err
}

// sayf prints a message for people.
func sayf(w io.Writer, format string, arguments ...any) {
	fmt.Fprint(w, say(fmt.Sprintf(format, arguments...)))
}

// A sayingHandler puts what is logged into Chinese: the message, and what explains it.
type sayingHandler struct{ slog.Handler }

// explaining are the attributes that have words for people.
var explaining = map[string]bool{"err": true, "why": true, "what": true, "message": true, "check": true, "hint": true, "advice": true}

func (h sayingHandler) Handle(ctx context.Context, r slog.Record) error {
	said := slog.NewRecord(r.Time, r.Level, chinese.Translate(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		said.AddAttrs(sayAttr(a))
		return true
	})
	return h.Handler.Handle(ctx, said)
}

// WithAttrs returns a handler that logs these as well.
func (h sayingHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	said := make([]slog.Attr, len(attributes))
	for i, a := range attributes {
		said[i] = sayAttr(a)
	}
	return sayingHandler{h.Handler.WithAttrs(said)}
}

// WithGroup returns a handler whose attributes are in a group.
func (h sayingHandler) WithGroup(name string) slog.Handler {
	return sayingHandler{h.Handler.WithGroup(name)}
}

// sayAttr translates an attribute that has words for people.
func sayAttr(a slog.Attr) slog.Attr {
	if !explaining[a.Key] {
		return a
	}
	switch value := a.Value.Resolve().Any().(type) {
	case error:
		return slog.String(a.Key, chinese.Translate(value.Error()))
	case string:
		return slog.String(a.Key, chinese.Translate(value))
	}
	return a
}

// printColumns prints rows in columns as wide as their widest cell, and two spaces. An empty row begins columns anew.
func printColumns(w io.Writer, rows ...[]string) {
	for len(rows) > 0 {
		end := 0
		for end < len(rows) && len(rows[end]) > 0 {
			end++
		}
		var widest []int
		for _, row := range rows[:end] {
			for i, cell := range row {
				if i == len(widest) {
					widest = append(widest, 0)
				}
				widest[i] = max(widest[i], columns(cell))
			}
		}
		for _, row := range rows[:end] {
			var line strings.Builder
			for i, cell := range row {
				line.WriteString(cell)
				if i < len(row)-1 {
					line.WriteString(strings.Repeat(" ", widest[i]-columns(cell)+2))
				}
			}
			fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		}
		if end == len(rows) {
			return
		}
		fmt.Fprintln(w)
		rows = rows[end+1:]
	}
}

// pad fills a text with spaces up to so many columns.
func pad(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-columns(text)))
}
