package simulator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A PTY is a pseudo terminal: a program opens its path as a serial port and talks to whoever
// reads and writes the PTY.
type PTY struct {
	*os.File
	path, link string
	far        *os.File // kept open, since reading fails while nobody has the far end open
}

// OpenPTY makes a pseudo terminal that passes bytes unchanged, without echo. If link is not
// empty, a symbolic link to it is made there, in place of an older link; Close takes it away.
func OpenPTY(link string) (*PTY, error) {
	p, err := openPTY(link)
	if err != nil {
		return nil, fmt.Errorf("make a pseudo terminal: %w", err)
	}
	return p, nil
}

func openPTY(link string) (*PTY, error) {
	p, err := openTerminal()
	if err != nil || link == "" {
		return p, err
	}
	if link, err = filepath.Abs(link); err == nil {
		err = p.linkTo(link)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// openTerminal makes a pseudo terminal without link.
func openTerminal() (_ *PTY, err error) {
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			near.Close()
		}
	}()
	var number int
	err = control(near, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		return nil, err
	}
	path := "/dev/pts/" + strconv.Itoa(number)
	far, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			far.Close()
		}
	}()
	if err := control(far, makeRaw); err != nil {
		return nil, fmt.Errorf("switch %s to raw mode: %w", path, err)
	}
	return &PTY{File: near, path: path, far: far}, nil
}

// linkTo makes a link to the terminal, in place of an older link.
func (p *PTY) linkTo(link string) error {
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("%s exists and is no symbolic link: choose another path", link)
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(p.path, link); err != nil {
		return err
	}
	p.link = link
	return nil
}

// next makes a pseudo terminal that takes the place of one that is closed, with the same link
// but another name.
func (p *PTY) next() (*PTY, error) {
	next, err := openTerminal()
	if err != nil {
		return nil, err
	}
	if next.path == p.path { // the number was free again
		other, err := openTerminal()
		if err = errors.Join(err, next.Close()); err != nil {
			return nil, err
		}
		next = other
	}
	if p.link == "" {
		return next, nil
	}
	if err := next.linkTo(p.link); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

// ServePTY serves the line on a pseudo terminal, at the speed that is set there, until the context ends, then closes it and
// returns nil. When the bus is reset, or unplugged and plugged in again, another terminal
// takes its place under the same link.
func (b *Bus) ServePTY(ctx context.Context, terminal *PTY) error {
	for {
		if err := b.Serve(ctx, terminal); !broken(err) {
			return err
		}
		if !b.awaitPlug(ctx, true) {
			return nil
		}
		var err error
		if terminal, err = terminal.next(); err != nil {
			return fmt.Errorf("make a pseudo terminal in place of the old one: %w", err)
		}
	}
}

// speeds are those that a terminal has a name for.
var speeds = map[uint32]int{
	unix.B300: 300, unix.B600: 600, unix.B1200: 1200, unix.B2400: 2400, unix.B4800: 4800, unix.B9600: 9600,
	unix.B19200: 19200, unix.B38400: 38400, unix.B57600: 57600, unix.B115200: 115200,
}

// speed returns the speed that whoever opened the far end has set, 0 if that is none of the usual ones. A pseudo
// terminal keeps it, though bytes pass at once, and forgets the parity.
func (p *PTY) speed() (baud int) {
	err := control(p.File, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			baud = speeds[t.Cflag&unix.CBAUD]
		}
		return err
	})
	if err != nil {
		return 0
	}
	return baud
}

// control calls f with the descriptor; the file stays one that Close can interrupt.
func control(file *os.File, f func(fd int) error) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := connection.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// makeRaw is cfmakeraw of the C library.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// Path returns the absolute path of the far end: the link if there is one.
func (p *PTY) Path() string {
	if p.link != "" {
		return p.link
	}
	return p.path
}

// Close closes the pseudo terminal and removes the link if it is still its own.
func (p *PTY) Close() error {
	if target, err := os.Readlink(p.link); err == nil && target == p.path {
		if err := os.Remove(p.link); err != nil {
			return errors.Join(err, p.far.Close(), p.File.Close())
		}
	}
	return errors.Join(p.far.Close(), p.File.Close())
}
