//go:build !linux

package simulator

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// A PTY is a pseudo terminal. There is none on this system.
type PTY struct{ *os.File }

// OpenPTY makes a pseudo terminal on Linux. Elsewhere it fails.
func OpenPTY(string) (*PTY, error) {
	return nil, fmt.Errorf("make a pseudo terminal: %w on this system, only on Linux; serve the meters on a TCP port instead", errors.ErrUnsupported)
}

// Path returns where the far end is.
func (p *PTY) Path() string { return "" }

// ServePTY does what Serve does.
func (b *Bus) ServePTY(ctx context.Context, terminal *PTY) error { return b.Serve(ctx, terminal) }
