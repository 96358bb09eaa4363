package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"go.bug.st/serial"

	"dlt645-mqtt/protocol"
)

// serialPort is a serial line. The library's reads time out with 0 and no error, which is what
// a Port does.
type serialPort struct {
	port serial.Port
	path string
}

var _ Tuner = (*serialPort)(nil)

// openSerial returns the opener of a serial line with eight data bits. With rs485 the kernel
// is told to switch the line driver. The path may be a link that leads to another device each
// time, as those in /dev/serial/by-id do.
func openSerial(path string, s Settings, rs485 bool) Opener {
	return func(context.Context) (Port, error) {
		release, err := prepare(path, rs485)
		if err != nil {
			return nil, serialError(path, err)
		}
		defer release()
		port, err := serial.Open(path, serialMode(s.mode()))
		if err != nil {
			return nil, serialError(path, err)
		}
		return &serialPort{port, path}, nil
	}
}

// serialMode is what the library calls a mode.
func serialMode(m protocol.Mode) *serial.Mode {
	return &serial.Mode{
		BaudRate: m.Baud,
		DataBits: 8,
		Parity:   map[string]serial.Parity{"even": serial.EvenParity, "odd": serial.OddParity, "none": serial.NoParity}[m.Parity],
		StopBits: map[int]serial.StopBits{1: serial.OneStopBit, 2: serial.TwoStopBits}[m.Stop],
	}
}

// A lastingError is about a port that does not open until somebody does something about it.
type lastingError struct{ message string }

func (e *lastingError) Error() string { return e.message }

// Lasting is how errors of other packages say so as well.
func (*lastingError) Lasting() bool { return true }

// lasts reports whether a port does not open for a reason that somebody must do something about.
func lasts(err error) bool {
	var e interface{ Lasting() bool }
	return errors.As(err, &e) && e.Lasting()
}

func lastingf(format string, arguments ...any) error {
	return &lastingError{fmt.Sprintf(format, arguments...)}
}

// serialError says why the device at path could not be opened and what to do about it.
func serialError(path string, err error) error {
	var code serial.PortErrorCode = -1
	var portError *serial.PortError
	if errors.As(err, &portError) {
		code = portError.Code()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || code == serial.PortNotFound:
		return lastingf("open %s: no such device: plug the adapter in, or pass the device to the container; %s", path, portsText(devices()))
	case errors.Is(err, fs.ErrPermission) || code == serial.PermissionDenied:
		return lastingf("open %s: permission denied: add the user to group dialout", path)
	case errors.Is(err, syscall.EBUSY) || code == serial.PortBusy:
		return lastingf("open %s: busy: stop the other program that holds the line", path)
	case code == serial.InvalidSerialPort:
		return fmt.Errorf("open %s: not a serial line, or one that cannot be set so: %w", path, err)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// Devices returns the paths of the serial lines of this machine, as far as they can be told without opening any.
func Devices() []string { return devices() }

// portsText says which serial lines there are.
func portsText(paths []string) string {
	const most = 10
	switch {
	case len(paths) == 0:
		return "there are no serial lines here"
	case len(paths) > most:
		return fmt.Sprintf("there are %s and %d more", strings.Join(paths[:most], ", "), len(paths)-most)
	}
	return "there are " + strings.Join(paths, ", ")
}

func (p *serialPort) Read(data []byte, wait time.Duration) (int, error) {
	if err := p.port.SetReadTimeout(max(wait, 0)); err != nil {
		return 0, fmt.Errorf("read %s: %w", p.path, err)
	}
	n, err := p.port.Read(data)
	if err != nil {
		return n, fmt.Errorf("read %s: %w: is the adapter still plugged in?", p.path, err)
	}
	return n, nil
}

func (p *serialPort) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		n, err := p.port.Write(data[written:])
		written += n
		if err != nil {
			return written, fmt.Errorf("write %s: %w: is the adapter still plugged in?", p.path, err)
		}
	}
	return written, nil
}

// Tune takes effect at once: the line must be silent.
func (p *serialPort) Tune(mode protocol.Mode) error {
	if err := p.port.SetMode(serialMode(mode)); err != nil {
		return fmt.Errorf("set %s to %d baud, parity %s, stop bits %d: %w", p.path, mode.Baud, mode.Parity, mode.Stop, err)
	}
	return nil
}

func (p *serialPort) Close() error { return p.port.Close() }
