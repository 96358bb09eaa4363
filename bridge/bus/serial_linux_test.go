package bus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlt645-mqtt/protocol"
)

// pty opens a pseudoterminal. master is the far end of the line at path.
func pty(t *testing.T) (master *os.File, path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

func open(t *testing.T, url string) Port {
	t.Helper()
	config, err := ParseURL(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	port, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	return port
}

func TestSerialPort(t *testing.T) {
	master, path := pty(t)
	port := open(t, "serial://"+path+"?baud=9600")
	data := make([]byte, 100)

	for _, wait := range []time.Duration{0, time.Millisecond} {
		n, err := port.Read(data, wait)
		equal(t, "bytes of a silent line", n, 0)
		equal(t, "error of a silent line", err, nil)
	}

	// Bytes that a terminal would act on pass as they are, both ways.
	const text = "\x00\x03\x0a\x0d\x11\x13\x1a\x68\xfe\xff"
	if _, err := port.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	n, err := master.Read(data)
	equal(t, "written", string(data[:n]), text)
	equal(t, "error", err, nil)
	if _, err := master.WriteString(text); err != nil {
		t.Fatal(err)
	}
	readAll(t, port, text)

	settings, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	// A pseudoterminal keeps the speed, but always has eight bits and no parity.
	equal(t, "speed", settings.Cflag&unix.CBAUD, unix.B9600)
}

func TestSerialPortUnplugged(t *testing.T) {
	for _, wait := range []time.Duration{0, 10 * time.Second} {
		master, path := pty(t)
		port := open(t, "serial://"+path)
		master.Close()
		n, err := port.Read(make([]byte, 10), wait)
		if n != 0 || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("read after the adapter is gone: %d, %v", n, err)
		}
		if _, err := port.Write([]byte("?")); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("write after the adapter is gone: %v", err)
		}
	}
}

func TestSerialErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, path := pty(t)
	for _, test := range []struct{ url, want string }{
		{"serial:///dev/no-such-line", "open /dev/no-such-line: no such device: "},
		{"serial://" + file, "open " + file + ": not a serial line"},
		{"serial://" + path + "?rs485=rts", "open " + path + ": its driver cannot switch"},
		{"serial:///dev/no-such-line?rs485=rts", "open /dev/no-such-line: no such device: "},
	} {
		config, err := ParseURL(test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = config.Open(t.Context()); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.url, err, test.want)
		}
	}
	if got, want := portsText([]string{"/dev/ttyUSB0", "/dev/ttyS0"}), "there are /dev/ttyUSB0, /dev/ttyS0"; got != want {
		t.Errorf("ports: %s, want %s", got, want)
	}
	equal(t, "many ports", portsText(strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12")), "there are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more")
	if err := serialError("/dev/ttyUSB9", os.ErrNotExist); !strings.Contains(err.Error(), portsText(devices())) {
		t.Errorf("no word of the ports that there are: %v", err)
	}
	err := serialError("/dev/ttyUSB0", os.ErrPermission)
	equal(t, "error", err.Error(), "open /dev/ttyUSB0: permission denied: add the user to group dialout")
	err = serialError("/dev/ttyUSB0", unix.EBUSY)
	equal(t, "error", err.Error(), "open /dev/ttyUSB0: busy: stop the other program that holds the line")
}

// A meter at the far end of a pseudoterminal: the adapter is pulled out and plugged in again.
func TestBusOnASerialLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter")
	plug := func() *os.File {
		master, device := pty(t)
		os.Remove(path)
		if err := os.Symlink(device, path); err != nil {
			t.Fatal(err)
		}
		go func() {
			data := make([]byte, 100)
			for {
				n, err := master.Read(data)
				if err != nil {
					return
				}
				for _, a := range prompt(strings.TrimLeft(string(data[:n]), "\xFE")) {
					if _, err := master.WriteString(a.text); err != nil {
						return
					}
				}
			}
		}()
		return master
	}
	master := plug()

	config, err := ParseURL("serial://"+path+"?timeout=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, ask := run(t, config)
	equal(t, "plugged in", ask(time.Time{}), "1")
	master.Close()
	plug()
	equal(t, "plugged in again", ask(time.Time{}), "1")
}

func TestSerialPortIsTuned(t *testing.T) {
	master, path := pty(t)
	port := open(t, "serial://"+path+"?baud=9600").(Tuner)
	for _, test := range []struct {
		mode protocol.Mode
		want uint32
	}{{modeOf(1200, "even"), unix.B1200}, {modeOf(19200, "none"), unix.B19200}, {protocol.Mode{Baud: 9600, Parity: "odd", Stop: 2}, unix.B9600}, {modeOf(9600, "odd"), unix.B9600}} {
		if err := port.Tune(test.mode); err != nil {
			t.Fatal(err)
		}
		settings, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "speed", settings.Cflag&unix.CBAUD, test.want)
		equal(t, "two stop bits", settings.Cflag&unix.CSTOPB != 0, test.mode.Stop == 2)
	}
	master.Close()
	if err := port.Tune(modeOf(2400, "even")); err == nil || !strings.Contains(err.Error(), path+" to 2400 baud") {
		t.Errorf("tuned though it is unplugged: %v", err)
	}
}

// answerByMode is two meters behind a pseudoterminal, until it is closed: a hears 2400 baud and one stop bit, b 9600 baud and two.
func answerByMode(master *os.File) {
	data := make([]byte, 100)
	for {
		n, err := master.Read(data)
		if err != nil {
			return
		}
		request := strings.TrimLeft(string(data[:n]), "\xFE")
		settings, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		if err != nil || len(request) < 4 {
			return
		}
		// A pseudoterminal keeps no parity.
		slow := settings.Cflag&unix.CBAUD == unix.B2400 && settings.Cflag&unix.CSTOPB == 0
		fast := settings.Cflag&unix.CBAUD == unix.B9600 && settings.Cflag&unix.CSTOPB != 0
		if request[1] == 'a' && slow || request[1] == 'b' && fast {
			if _, err := master.WriteString(prompt(request)[0].text); err != nil {
				return
			}
		}
	}
}

// TestMetersOfTwoModesOnASerialLine asks two meters by turns, each of which hears one speed and number of stop bits.
func TestMetersOfTwoModesOnASerialLine(t *testing.T) {
	master, path := pty(t)
	go answerByMode(master)
	config, err := ParseURL("serial://"+path+"?timeout=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "modes", config.Modes, true)
	b := New(config)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		stop()
		equal(t, "end", <-ended, nil)
	}()
	var reports []<-chan Report
	for range 3 {
		for _, step := range []protocol.Step{read("a", "v"), inMode(read("b", "v"), protocol.Mode{Baud: 9600, Stop: 2})} {
			step.Key = "" // each for itself
			report, err := b.Submit(Job{Steps: []protocol.Step{step}})
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, report)
		}
	}
	for _, report := range reports {
		equal(t, "value", values(<-report), "1")
	}
}
