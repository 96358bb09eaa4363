package bus

import (
	"errors"
	"fmt"

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
		c.reply.Err = fmt.Errorf("%w: %w", protocol.ErrUnsupported, err)
	}
	return false
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
