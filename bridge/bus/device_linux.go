package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// devices returns the serial lines that there are, those of adapters by their lasting names. None is opened for
// that.
func devices() (paths []string) {
	for _, pattern := range []string{"/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*", "/dev/ttymxc*", "/dev/ttySC*", "/dev/ttyS*"} {
		found, _ := filepath.Glob(pattern) // the patterns are sound
		for _, path := range found {
			// The kernel has more ttyS than there are lines. Those have no type.
			kind, err := os.ReadFile("/sys/class/tty/" + filepath.Base(path) + "/type")
			if err == nil && strings.TrimSpace(string(kind)) == "0" {
				continue
			}
			paths = append(paths, path)
		}
	}
	return paths
}

// prepare sets what the serial library cannot, on a device that is about to be opened. The
// device stays open until release is called: a pseudo terminal that is closed once has lost
// its other side, and once the port is open nobody else may open the device.
func prepare(path string, rs485 bool) (release func(), err error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if rs485 {
		if err := switchDriver(fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	_ = hurry(fd) // a faster adapter is welcome, but not needed
	return func() { unix.Close(fd) }, nil
}

// control is an ioctl whose argument points to a structure that package unix does not have.
func control(fd int, request uint, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// The kernel's struct serial_rs485, see ioctl TIOCSRS485.
type rs485Settings struct {
	flags, delayBefore, delayAfter uint32
	_                              [5]uint32
}

const (
	rs485Enabled   = 1 << 0
	rs485RTSOnSend = 1 << 1
)

// switchDriver makes the kernel raise RTS while it sends, which is how the line driver of an
// RS-485 port is turned on.
func switchDriver(fd int) error {
	settings := rs485Settings{flags: rs485Enabled | rs485RTSOnSend}
	if err := control(fd, unix.TIOCSRS485, unsafe.Pointer(&settings)); err != nil { //nolint:gosec // G103: see control
		return fmt.Errorf("its driver cannot switch an RS-485 line driver (%w): leave rs485 out of the bus URL and use an adapter that switches by itself", err)
	}
	return nil
}

// The kernel's struct serial_struct, see ioctl TIOCSSERIAL.
type serialSettings struct {
	kind, line    int32
	port          uint32
	irq           int32
	flags         int32
	xmitFIFOSize  int32
	customDivisor int32
	baudBase      int32
	closeDelay    uint16
	ioType        uint8
	_             uint8
	hub6          int32
	closingWait   uint16
	closingWait2  uint16
	iomemBase     uintptr
	iomemRegShift uint16
	portHigh      uint32
	iomemBase2    uint // unsigned long
}

// lowLatency is ASYNC_LOW_LATENCY. An FTDI adapter holds what it has received back for 16 ms
// if it is clear, 1 ms if it is set.
const lowLatency = 1 << 13

// hurry asks the kernel to hand over what a device receives as soon as it can. Not every
// driver knows how to, and not everybody may ask: then it stays as it is.
func hurry(fd int) error {
	var settings serialSettings
	if err := control(fd, unix.TIOCGSERIAL, unsafe.Pointer(&settings)); err != nil { //nolint:gosec // G103: see control
		return err
	}
	if settings.flags&lowLatency != 0 {
		return nil
	}
	settings.flags |= lowLatency
	return control(fd, unix.TIOCSSERIAL, unsafe.Pointer(&settings)) //nolint:gosec // G103: see control
}
