//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program that can be killed, frozen and started again. What it prints goes to
// a file.
type process struct {
	name        string
	arguments   []string
	environment []string
	log         *os.File
	died        func(error) // called if it ends by itself

	mu      sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
	ending  bool // we have asked it to
}

func (p *process) start() error {
	c := exec.Command(p.arguments[0], p.arguments[1:]...) //nolint:gosec,noctx // programs that we were told to run, and end ourselves
	c.Env, c.Stdout, c.Stderr = p.environment, p.log, p.log
	// Nothing stays behind, however this program ends. A process group of its own keeps the
	// terminal's Ctrl-C away.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.command, p.ended, p.ending = c, ended, false
	p.mu.Unlock()
	go func() {
		_ = c.Wait() // the state tells as much
		p.mu.Lock()
		ending := p.ending
		p.mu.Unlock()
		if !ending {
			p.died(fmt.Errorf("%s ended by itself: %s; its last words are %s", p.name, c.ProcessState, p.lastWords()))
		}
		close(ended)
	}()
	return nil
}

// signal sends a signal, if the process lives.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.ending = true
	}
	_ = p.command.Process.Signal(s)
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// cleanUp ends it, frozen or not, if it was started.
func (p *process) cleanUp() {
	if p.command != nil {
		p.signal(syscall.SIGCONT)
		p.kill()
	}
}

// stop ends it as its operator would, and reports whether it did so in time; else it is killed.
func (p *process) stop(patience time.Duration) bool {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return true
	case <-time.After(patience):
		p.signal(syscall.SIGQUIT) // its goroutines go into the log
		select {
		case <-p.ended:
		case <-time.After(patience):
			p.kill()
		}
		return false
	}
}

// lastWords returns the end of the log.
func (p *process) lastWords() string {
	text, _ := os.ReadFile(p.log.Name())
	text = text[max(0, len(text)-3000):]
	return strings.TrimSpace(string(text)) + " (in " + p.log.Name() + ")"
}
