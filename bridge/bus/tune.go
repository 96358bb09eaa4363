package bus

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// tune sets the line to the mode of the step. It reports whether it could.
func (c *conversation) tune() bool {
	b := c.bus
	own := b.config.mode()
	mode := c.step.Mode.Or(own)
	err := b.line.tune(mode)
	switch {
	case err == nil:
		return true
	case mode == own || errors.Is(err, errLost):
		b.fail(err)
		c.breakOff(err)
	default:
		b.tellRefused(mode, err)
		c.reply.Err = fmt.Errorf("%w: %w", protocol.ErrUnsupported, err)
	}
	return false
}

// tellRefused says in the log that the line cannot be set to a mode, once in a while for each.
func (b *Bus) tellRefused(mode protocol.Mode, err error) {
	const most = 100 // modes that are remembered: meters and scans need fewer
	now := time.Now()
	if told, ok := b.toldRefused[mode]; ok && now.Sub(told) < logEvery || !ok && len(b.toldRefused) == most {
		return
	}
	if b.toldRefused == nil {
		b.toldRefused = map[protocol.Mode]time.Time{}
	}
	b.toldRefused[mode] = now
	b.config.Log.Warn("the line cannot be set to this speed, parity and stop bits; what is to be asked so is not sent",
		"baud", mode.Baud, "parity", mode.Parity, "stop", mode.Stop, "err", err)
}

// tune gives the line another mode.
func (l *line) tune(mode protocol.Mode) error {
	if mode == l.mode {
		return nil
	}
	port, ok := l.port.(Tuner)
	if !ok {
		return errors.New("only a serial line, or a serial server by rfc2217://, can be set to another speed or parity")
	}
	if err := port.Tune(mode); err != nil {
		l.mode = protocol.Mode{} // a part of it may have taken effect
		return err
	}
	l.mode = mode
	return nil
}
