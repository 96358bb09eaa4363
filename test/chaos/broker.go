//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A broker is a real mosquitto. It keeps nothing on disk: what it has acknowledged and not yet
// passed on is lost with it.
type broker struct {
	*process
	address string
}

func newBroker(folder string, died func(error), settings ...string) (*broker, error) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil { // where Debian keeps it
			return nil, fmt.Errorf("there is no mosquitto (Debian: apt-get install mosquitto): %w", err)
		}
	}
	address, err := freeAddress("127.0.0.1")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	lines := append([]string{
		"user root", // else a mosquitto started by root may not read our files
		"listener " + port + " 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true", "persistence false",
		"max_queued_messages 10000", // as in deploy/mosquitto
	}, settings...)
	file := filepath.Join(folder, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "mosquitto.log"))
	if err != nil {
		return nil, err
	}
	return &broker{&process{name: "mosquitto", arguments: []string{program, "-c", file}, log: log, died: died}, address}, nil
}

// start starts the broker and waits until it listens.
func (b *broker) start() error {
	if err := b.process.start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		connection, err := dial(b.address)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-b.ended:
			return fmt.Errorf("mosquitto does not start: %s", b.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mosquitto does not listen on %s: %w", b.address, err)
		}
	}
}

func dial(address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", address)
}

// freeAddress is an address of this machine that nothing listens on at the moment. Its port lies below those that systems
// give to connections, so that a broker that starts again finds it free.
func freeAddress(host string) (string, error) {
	for {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(10_000+rand.IntN(20_000))))
		switch {
		case err == nil:
			return listener.Addr().String(), listener.Close()
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", err
		}
	}
}
