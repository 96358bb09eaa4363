package bus

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestSer2net asks meters of two modes by turns behind a real ser2net, which takes speed and stop bits from us.
func TestSer2net(t *testing.T) {
	path, err := exec.LookPath("ser2net")
	if err != nil {
		path = "/usr/sbin/ser2net" // where Debian has it, which is not in the path of everybody
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("ser2net is not installed")
	}
	master, device := pty(t)
	go answerByMode(master)

	address := laterAddress(t)
	_, number, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "ser2net.yaml")
	text := fmt.Sprintf("connection: &meters\n  accepter: telnet(rfc2217=true),tcp,127.0.0.1,%s\n  connector: serialdev,%s,115200n81,local\n", number, device)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	server := exec.CommandContext(t.Context(), path, "-n", "-u", "-c", file)
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Skipf("ser2net does not start: %v", err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("ser2net said: %s", &out)
		}
	}()

	config, err := ParseURL("rfc2217://"+address+"?timeout=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, ask := run(t, config) // which dials until ser2net listens
	fast := protocol.Mode{Baud: 9600, Parity: "none", Stop: 2}
	for range 3 {
		equal(t, "own mode", ask(time.Now().Add(30*time.Second)), "1")
		report, err := b.Submit(Job{Steps: []protocol.Step{inMode(read("b", "v"), fast)}, Deadline: time.Now().Add(30 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "another mode", values(<-report), "1")
	}
}
