package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// A loop that has not turned for so long hangs.
const healthLimit = 30 * time.Second

// healthSocket names the abstract unix socket on which the bridge of a root tells its health.
func healthSocket(root string) string { return "@dlt645-mqtt:" + root }

// Unhealthy tells what hangs; empty if nothing does. A silent meter or an absent broker is
// not ill health: a restart would not mend it.
func (b *Bridge) Unhealthy() string {
	var ill []string
	for _, part := range []struct {
		name   string
		turned time.Time
	}{
		{"the bridge", b.turned.load()},
		{"the bus", b.bus.State().Turned},
	} {
		if age := time.Since(part.turned); age > healthLimit {
			ill = append(ill, fmt.Sprintf("%s has not moved for %s", part.name, age.Round(time.Second)))
		}
	}
	return strings.Join(ill, "; ")
}

// unready tells what keeps requests from being answered; empty if nothing does.
func (b *Bridge) unready() string {
	var missing []string
	if !b.listening.Load() {
		missing = append(missing, "not connected to the broker "+b.config.Broker.String())
	}
	if state := b.bus.State(); !state.Up {
		missing = append(missing, fmt.Sprintf("bus %s is down: %s", b.config.BusURL, state.LastError))
	}
	if b.admission.isClosed() {
		missing = append(missing, "stopping")
	}
	return strings.Join(missing, "; ")
}

// mostHTTP is how many HTTP connections there may be. More wait until one ends; an idle one ends after some seconds.
const mostHTTP = 128

// serveHealth answers health checks on the socket and, if wanted, on HTTP, where the pages are served
// as well, until stop is called.
func (b *Bridge) serveHealth(ctx context.Context) (stop func()) {
	var closers []io.Closer
	stop = func() {
		for _, c := range closers {
			_ = c.Close()
		}
	}
	b.turned.store(time.Now())
	if runtime.GOOS == "linux" { // no other system has abstract sockets
		name := healthSocket(b.config.Root)
		if socket, err := (&net.ListenConfig{}).Listen(ctx, "unix", name); err != nil {
			b.log.Error("the health check of this bridge cannot be asked; another bridge with the same root runs on this machine, and healthcheck asks that one; set DLT645_TOPIC", "socket", name, "err", err)
		} else {
			closers = append(closers, socket)
			go b.answerHealth(socket)
		}
	}
	listener := b.config.HTTP
	if listener == nil {
		return stop
	}
	mux := http.NewServeMux()
	ours := map[string]http.HandlerFunc{"/healthz": answerHTTP(b.Unhealthy), "/readyz": answerHTTP(b.unready), "/metrics": b.serveMetrics}
	for path, answer := range ours {
		mux.HandleFunc("GET "+path, answer)
	}
	handler := http.Handler(mux)
	if pages := b.config.Pages; pages != nil {
		// What has no path here is for the pages as it came: this mux would answer some of it by itself, without their headers.
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ours[r.URL.Path] != nil {
				mux.ServeHTTP(w, r)
			} else {
				pages.ServeHTTP(w, r)
			}
		})
	}
	// Connections that have become WebSockets are not closed with the server; their requests' context
	// ends instead.
	open, end := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: handler, BaseContext: func(net.Listener) context.Context { return open },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10,
	}
	closers = append(closers, server, closerFunc(end))
	go func() {
		if err := server.Serve(netutil.LimitListener(listener, mostHTTP)); !errors.Is(err, http.ErrServerClosed) {
			b.log.Error("HTTP ended", "err", err)
		}
	}()
	b.log.Info("serving HTTP", "address", listener.Addr().String())
	return stop
}

// A closerFunc is closed by being called.
type closerFunc func()

func (f closerFunc) Close() error {
	f()
	return nil
}

// answerHealth tells everyone who connects, in one line, until the socket is closed.
func (b *Bridge) answerHealth(socket net.Listener) {
	for {
		connection, err := socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // for want of file descriptors, say
			if b.pause(time.Second) != nil {
				return
			}
			continue
		}
		ill := b.Unhealthy()
		if ill == "" {
			ill = "ok"
		}
		_ = connection.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(connection, ill+"\n")
		_ = connection.Close()
	}
}

// CheckHealth asks the bridge of a root on this machine; nil means that it is well.
func CheckHealth(ctx context.Context, root string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", healthSocket(root))
	if err != nil {
		return fmt.Errorf("no bridge with the root %q runs on this machine: %w", root, err)
	}
	defer func() { _ = connection.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return fmt.Errorf("the bridge does not answer its health check: %w", err)
	}
	if text := strings.TrimSpace(string(answer)); text != "ok" {
		return fmt.Errorf("the bridge is not well: %s", text)
	}
	return nil
}

// answerHTTP answers 200 where a check finds nothing, else 503 and what it found.
func answerHTTP(check func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		found := check()
		if found != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			found = "ok"
		}
		_, _ = io.WriteString(w, found+"\n")
	}
}
