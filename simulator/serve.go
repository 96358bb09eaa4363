package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Serve carries bytes between a stream and the line until the context ends or the stream
// does, and closes the stream. Bytes of meters go out as they arrive, one at a time. It
// returns nil at the end of the stream or of the context.
func (b *Bus) Serve(ctx context.Context, stream io.ReadWriteCloser) error {
	port := b.Port()
	var group sync.WaitGroup
	defer group.Wait()
	stop := context.AfterFunc(ctx, func() {
		port.Close()
		stream.Close()
	})
	defer stop()

	group.Go(func() {
		// A failure to write shows in the loop below as well, because it closes the stream.
		defer stream.Close()
		buffer := make([]byte, 1024)
		for {
			n, err := port.Read(buffer, time.Minute)
			if err != nil {
				return
			}
			if _, err := stream.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	defer port.Close()

	buffer := make([]byte, 1024)
	for {
		n, err := stream.Read(buffer)
		if n > 0 {
			if _, err := port.Write(buffer[:n]); err != nil {
				return nil // the context has ended
			}
		}
		switch {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read requests for the simulated line: %w", err)
		}
	}
}

// ServeTCP serves the line to all who connect, as a serial server does, until the context
// ends; then it closes listener and connections and returns nil. Each connection hears all
// that meters send. A connection that breaks off harms no other.
func (b *Bus) ServeTCP(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		connection, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept connections to the simulated line: %w", err)
		}
		group.Go(func() { _ = b.Serve(ctx, connection) }) // an error is the end of the connection
	}
}
