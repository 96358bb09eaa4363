package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The commands of COM-PORT-OPTION (RFC 2217, section 3), and values of theirs. The server answers each with the
// value that it has then, under a number that is higher by comPortAnswer.
const (
	comPortBaud          = 1 // bits per second in four bytes, high byte first
	comPortDataSize      = 2 // bits
	comPortParity        = 3 // an index of comPortParities
	comPortStop          = 4 // 1 or 2
	comPortControl       = 5
	comPortLineStateMask = 10 // which events of the line the server tells of
	comPortModemMask     = 11
	comPortAnswer        = 100

	eightDataBits = 8
	noFlowControl = 1
	flowByBytes   = 2 // XON and XOFF

	agreeTimeout   = 5 * time.Second // for a server to say that it speaks RFC 2217
	settingTimeout = 2 * time.Second // for it to confirm settings, beyond the latency of the way
)

// comPortParities are the parities by their numbers.
var comPortParities = []string{"", "none", "odd", "even", "mark", "space"}

// errLost is wrapped by errors of a Tuner after which the port is dead, whatever mode was asked for.
var errLost = errors.New("the connection is of no use any more")

// An rfc2217Port is a connection to a serial server whose settings are made from here: telnet with
// COM-PORT-OPTION (RFC 2217).
type rfc2217Port struct {
	*tcpPort
	latency time.Duration // of the way

	telnet  telnet
	out     []byte           // answers for the server that have not been sent
	said    map[[2]byte]bool // negotiations that were sent: each is said once
	agreed  bool             // the server speaks RFC 2217
	refused error            // it does not, or not as is needed here
	values  map[byte]uint32  // the settings that it has confirmed, by command

	mode protocol.Mode
	gone time.Time // when what was written last has left the server, as far as is known; zero: it has
	held []byte    // of the line, heard while settings were made
}

var _ Tuner = (*rfc2217Port)(nil)

// openRFC2217 returns the opener of a connection to a serial server that takes its settings from here.
func openRFC2217(address string, s Settings) Opener {
	return func(ctx context.Context) (Port, error) {
		tcp, err := dialTCP(ctx, "rfc2217", address)
		if err != nil {
			return nil, err
		}
		p := newRFC2217Port(tcp, s.Latency)
		running := context.AfterFunc(ctx, func() { tcp.Close() })
		err = p.begin(address, s.mode())
		if !running() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			tcp.Close()
			return nil, fmt.Errorf("open rfc2217://%s: %w", address, err)
		}
		return p, nil
	}
}

func newRFC2217Port(tcp *tcpPort, latency time.Duration) *rfc2217Port {
	p := &rfc2217Port{tcpPort: tcp, latency: latency, said: map[[2]byte]bool{}, values: map[byte]uint32{}}
	p.telnet = telnet{negotiated: p.negotiate, subnegotiated: p.confirm}
	return p
}

// begin agrees with the server on how to talk, and sets the line.
func (p *rfc2217Port) begin(address string, mode protocol.Mode) error {
	for _, option := range []byte{optionBinary, optionGoAhead} {
		p.say(telnetDo, option)
		p.say(telnetWill, option)
	}
	p.say(telnetWill, optionComPort)
	done, err := p.await(agreeTimeout, func() bool { return p.agreed })
	switch {
	case err != nil:
		return err
	case !done:
		return lastingf("the server does not speak RFC 2217: it has not agreed to COM-PORT-OPTION within %v; have it serve this port by RFC 2217 (telnet), or take tcp://%s and set speed and parity in the server", agreeTimeout, address)
	}
	for _, setting := range [][2]byte{{comPortControl, noFlowControl}, {comPortDataSize, eightDataBits}, {comPortLineStateMask, 0}, {comPortModemMask, 0}} {
		p.out = append(p.out, subnegotiation(optionComPort, setting[:]...)...)
	}
	if err := p.Tune(mode); err != nil {
		return err
	}
	// Not every server confirms these. They were asked for first.
	if p.values[comPortControl] == flowByBytes {
		return lastingf("the serial server keeps flow control by XON and XOFF, which takes bytes out of frames: turn that off in the server")
	}
	if bits, known := p.values[comPortDataSize]; known && bits != eightDataBits {
		return lastingf("the serial server keeps %d data bits: set it to 8", bits)
	}
	return nil
}

// Tune has the server set the line, and waits until it confirms that. It first lets go what was written.
func (p *rfc2217Port) Tune(mode protocol.Mode) error {
	time.Sleep(time.Until(p.gone))
	wanted := comPortSettings(mode)
	for _, w := range wanted {
		if now, known := p.values[w.command]; known && now == w.value {
			continue
		}
		delete(p.values, w.command)
		data := []byte{w.command, byte(w.value)}
		if w.command == comPortBaud {
			data = binary.BigEndian.AppendUint32(data[:1], w.value)
		}
		p.out = append(p.out, subnegotiation(optionComPort, data...)...)
	}
	done, err := p.await(settingTimeout+p.latency, func() bool {
		return !slices.ContainsFunc(wanted, func(w comPortSetting) bool { _, known := p.values[w.command]; return !known })
	})
	failed := fmt.Sprintf("set %v to %d baud, parity %s, stop bits %d", p.conn.RemoteAddr(), mode.Baud, mode.Parity, mode.Stop)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", failed, errLost, err)
	case !done:
		return fmt.Errorf("%s: %w: the serial server has not confirmed it within %v: raise latency in the bus URL (%v) if the way to it is slow", failed, errLost, settingTimeout+p.latency, p.latency)
	}
	var kept []string
	for _, w := range wanted {
		if now := p.values[w.command]; now != w.value {
			kept = append(kept, comPortSetting{w.command, now}.String())
		}
	}
	if kept != nil {
		return lastingf("%s: the serial server refuses: it keeps %s; ask for what its hardware has, and see whether its own settings are locked", failed, strings.Join(kept, ", "))
	}
	p.mode = mode
	return nil
}

// A comPortSetting is one of the settings that make up a mode.
type comPortSetting struct {
	command byte
	value   uint32
}

func comPortSettings(mode protocol.Mode) []comPortSetting {
	parity := slices.Index(comPortParities, mode.Parity)
	return []comPortSetting{{comPortBaud, uint32(mode.Baud)}, {comPortParity, uint32(parity)}, {comPortStop, uint32(mode.Stop)}}
}

// String is the setting as people write it.
func (s comPortSetting) String() string {
	switch {
	case s.command == comPortBaud:
		return fmt.Sprintf("%d baud", s.value)
	case s.command == comPortStop:
		return fmt.Sprintf("stop bits %d", s.value)
	case int(s.value) < len(comPortParities):
		return "parity " + comPortParities[s.value]
	}
	return fmt.Sprintf("parity %d", s.value)
}

// await sends what is to be sent, and talks with the server until done, or for so long. What comes of the line
// meanwhile is kept for the next Read.
func (p *rfc2217Port) await(patience time.Duration, done func() bool) (bool, error) {
	until := time.Now().Add(patience)
	var data [512]byte
	for {
		if err := p.flush(); err != nil {
			return false, err
		}
		wait := time.Until(until)
		if done() || p.refused != nil || wait <= 0 {
			return done(), p.refused
		}
		n, err := p.tcpPort.Read(data[:], wait)
		if err != nil {
			return false, err
		}
		line := p.telnet.sift(data[:n])
		p.held = append(p.held, line[:min(len(line), mostPending-len(p.held))]...)
	}
}

// say answers a negotiation, or begins one. What was said once is not said again, so that no server draws us
// into an endless talk.
func (p *rfc2217Port) say(command, option byte) {
	if said := [2]byte{command, option}; !p.said[said] {
		p.said[said] = true
		p.out = append(p.out, telnetIAC, command, option)
	}
}

// negotiate takes in what the server wants or offers.
func (p *rfc2217Port) negotiate(command, option byte) {
	known := option == optionBinary || option == optionGoAhead || option == optionComPort
	switch command {
	case telnetWill, telnetDo:
		answer := map[byte]byte{telnetWill: telnetDont, telnetDo: telnetWont}[command]
		if known {
			answer = map[byte]byte{telnetWill: telnetDo, telnetDo: telnetWill}[command]
		}
		p.say(answer, option)
		p.agreed = p.agreed || option == optionComPort
	case telnetWont, telnetDont:
		switch {
		case option == optionComPort && command == telnetDont && !p.agreed:
			p.refused = lastingf("the server refuses RFC 2217 (COM-PORT-OPTION): have it serve this port by RFC 2217, or take tcp:// and set speed and parity in the server")
		case option == optionBinary:
			p.refused = lastingf("the server refuses to pass all bytes as they are (telnet's BINARY): set its port to binary, or take tcp:// and set speed and parity in the server")
		}
	}
}

// confirm takes in what the server says of its settings.
func (p *rfc2217Port) confirm(option byte, data []byte) {
	if option != optionComPort || len(data) < 2 || data[0] < comPortAnswer {
		return
	}
	switch command := data[0] - comPortAnswer; {
	case command != comPortBaud:
		p.values[command] = uint32(data[1])
	case len(data) == 5:
		p.values[command] = binary.BigEndian.Uint32(data[1:])
	}
}

// flush sends what the server is to be told.
func (p *rfc2217Port) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.tcpPort.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *rfc2217Port) Read(data []byte, wait time.Duration) (int, error) {
	if len(p.held) > 0 {
		n := copy(data, p.held)
		p.held = p.held[n:]
		return n, nil
	}
	until := time.Now().Add(wait)
	for {
		n, err := p.tcpPort.Read(data, wait)
		if err != nil {
			return 0, err
		}
		line := p.telnet.sift(data[:n])
		if err := p.flush(); err != nil {
			return 0, err
		}
		if p.refused != nil {
			return 0, p.refused
		}
		if len(line) > 0 {
			p.gone = time.Time{} // the meter has heard it
			return len(line), nil
		}
		if wait = time.Until(until); n == 0 || wait <= 0 {
			return 0, nil
		}
	}
}

func (p *rfc2217Port) Write(data []byte) (int, error) {
	if n, err := p.tcpPort.Write(escaped(data)); err != nil {
		return min(n, len(data)), err
	}
	p.gone = time.Now().Add(p.mode.Duration(len(data)) + p.latency)
	return len(data), nil
}
