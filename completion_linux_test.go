package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dlt645-mqtt/simulator"
)

// A typist is somebody at the terminal of a shell.
type typist struct {
	t        *testing.T
	terminal *simulator.PTY
	mu       sync.Mutex
	screen   bytes.Buffer
}

// newTypist starts a shell on a terminal of its own. The folder programs has dlt645-mqtt, which is the only one that it needs.
func newTypist(t *testing.T, programs string, shell ...string) *typist {
	t.Helper()
	path, err := exec.LookPath(shell[0])
	if err != nil {
		t.Skipf("skipped: completion in %s, which is not installed", shell[0])
	}
	terminal, err := simulator.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(terminal.Path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, shell[1:]...)
	command.Dir = t.TempDir()
	command.Env = []string{
		"PATH=" + programs + ":" + os.Getenv("PATH"), isProgram + "=yes", "HOME=" + command.Dir, "TERM=dumb", "PS1=ready>", "LC_ALL=C.UTF-8",
		"DLT645_BUS_URL=sim://", "DLT645_METERS=main=1,shop=2@1997", "DLT645_METER_NAMES=main=总表",
	}
	command.Stdin, command.Stdout, command.Stderr = far, far, far
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	far.Close()
	p := &typist{t: t, terminal: terminal}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			p.mu.Lock()
			p.screen.Write(buffer[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = terminal.Close()
		<-read
	})
	return p
}

// types types a text, and waits until the terminal shows another.
func (p *typist) types(text, shown string) {
	p.t.Helper()
	p.mu.Lock()
	p.screen.Reset()
	p.mu.Unlock()
	if _, err := p.terminal.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
	p.sees(shown)
}

func (p *typist) sees(shown string) {
	p.t.Helper()
	var screen string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		screen = p.screen.String()
		p.mu.Unlock()
		if strings.Contains(screen, shown) {
			return
		}
	}
	p.t.Fatalf("the terminal never showed %q: %q", shown, screen)
}

// TestCompletionInShells types the beginning of words and the tabulator in the shells that are installed.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	if err := os.Symlink(testProgram(t), filepath.Join(programs, "dlt645-mqtt")); err != nil {
		t.Fatal(err)
	}
	const anew = "\x15" // Ctrl-U
	t.Run("bash", func(t *testing.T) {
		p := newTypist(t, programs, "bash", "--norc", "--noprofile", "-i")
		p.sees("ready>")
		p.types("stty sane; bind 'set enable-bracketed-paste off'; source <(dlt645-mqtt completion bash); echo load''ed\n", "loaded")
		p.types("dlt645-mqtt re\t", "dlt645-mqtt read ")
		p.types("m\t", "main ")
		p.types(anew+"dlt645-mqtt read 2@1997 voltage_\t\t", "voltage_b")
		p.types(anew+"dlt645-mqtt read -protocol=modbus/dts\t", "-protocol=modbus/dts")
		p.types("u\t", "666 ")
		p.types(anew+"dlt645-mqtt scan -bus tcp:\t", "tcp://")
		p.types("x:1 -pari\tn\t", "-parities none ")
		p.types(anew+"touch table.csv; echo there''is\n", "thereis")
		p.types("dlt645-mqtt points ch\tta\t", "check table.csv ")
	})
	t.Run("zsh", func(t *testing.T) {
		p := newTypist(t, programs, "zsh", "-f", "-i", "-o", "no_prompt_cr", "-o", "no_prompt_sp")
		p.sees("ready>")
		p.types("stty sane; autoload -U compinit && compinit -u -D; source <(dlt645-mqtt completion zsh); echo load''ed\n", "loaded")
		p.types("dlt645-mqtt re\t", "ad ")
		p.types("m\t", "ain ")
		p.types(anew+"dlt645-mqtt read \t", "总表, 000000000001, 2007")
		p.types(anew+"dlt645-mqtt scan -protocol 2007,69\t", "8 ")
		p.types(anew+"dlt645-mqtt read -bus tc\t", "p://")
		p.types(anew+"touch table.csv; echo there''is\n", "thereis")
		p.types("dlt645-mqtt points ch\tta\t", "ble.csv")
	})
	t.Run("fish", func(t *testing.T) {
		fish, err := exec.LookPath("fish")
		if err != nil {
			t.Skip("skipped: completion in fish, which is not installed")
		}
		command := exec.CommandContext(t.Context(), fish, "--no-config", "-c",
			"dlt645-mqtt completion fish | source; complete -C 'dlt645-mqtt re'; complete -C 'dlt645-mqtt read '; complete -C 'dlt645-mqtt scan -protocol 2007,69'; touch points.csv; complete -C 'dlt645-mqtt points check poi'")
		command.Dir = t.TempDir()
		command.Env = []string{
			"PATH=" + programs + ":" + os.Getenv("PATH"), isProgram + "=yes", "HOME=" + command.Dir, "LC_ALL=C.UTF-8",
			"DLT645_BUS_URL=sim://", "DLT645_METERS=main=1,shop=2@1997", "DLT645_METER_NAMES=main=总表",
		}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, want := range []string{"read\tread a meter on the bus, without a broker\n", "main\t总表, 000000000001, 2007\n", "2007,698\tDL/T 698.45\n", "points.csv\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("fish suggests %q, without %q", out, want)
			}
		}
	})
}
