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

// A paced stream knows the speed at which its far end is set.
type paced interface{ speed() int }

// Serve carries bytes between a stream and the line until the context ends or the stream
// does, and closes the stream. Bytes of meters go out as they arrive, one at a time. It
// returns nil at the end of the stream or of the context, and an error if the bus was reset
// or unplugged; a TCP connection is reset then. A stream that is no terminal has no speed: meters
// with a mode of their own hear it as all others do.
func (b *Bus) Serve(ctx context.Context, stream io.ReadWriteCloser) error {
	port := b.Port()
	if _, ok := stream.(paced); ok {
		b.ignoreParity()
	} else {
		b.ignoreModes()
	}
	var group sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		port.Close()
		stream.Close()
	})
	defer stop()

	var failed error
	group.Go(func() {
		// A failure to write shows in the other loop as well, because it closes the stream.
		defer stream.Close()
		buffer := make([]byte, 1024)
		for {
			n, err := port.Read(buffer, time.Minute)
			if err != nil {
				if connection, ok := stream.(*net.TCPConn); ok && broken(err) {
					_ = connection.SetLinger(0) // reset it
				}
				failed = err
				return
			}
			if _, err := stream.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	err := carry(port, stream)
	port.Close()
	group.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case broken(failed):
		return failed
	}
	return err
}

// carry writes to a port what comes from a stream, until the stream ends.
func carry(port *Port, stream io.Reader) error {
	buffer := make([]byte, 1024)
	for {
		n, err := stream.Read(buffer)
		if n > 0 {
			if s, ok := stream.(paced); ok {
				port.follow(s.speed())
			}
			if _, err := port.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read requests for the simulated line: %w", err)
		}
	}
}

// ServeTCP serves the line to all who connect, as a serial server does, until the context
// ends; then it closes listener and connections and returns nil. Each connection hears all
// that meters send. A connection that breaks off harms no other. While the bus is unplugged
// nobody listens; afterwards the same address is served again.
func (b *Bus) ServeTCP(ctx context.Context, listener net.Listener) error {
	address := listener.Addr()
	for {
		if err := b.accept(ctx, listener); err != nil {
			return err
		}
		if !b.awaitPlug(ctx, true) {
			return nil
		}
		var err error
		listener, err = new(net.ListenConfig).Listen(ctx, address.Network(), address.String())
		if err != nil {
			return fmt.Errorf("listen again at %s: %w", address, err)
		}
	}
}

// accept serves all who connect until the context ends or the bus is unplugged, and closes
// the listener then. An error is that of the listener.
func (b *Bus) accept(ctx context.Context, listener net.Listener) error {
	var group sync.WaitGroup
	defer group.Wait()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	closed := make(chan struct{})
	group.Go(func() {
		unplugged := b.awaitPlug(watch, false)
		if unplugged || ctx.Err() != nil {
			close(closed)
		}
		listener.Close()
	})
	for {
		connection, err := listener.Accept()
		if err == nil {
			group.Go(func() { _ = b.Serve(ctx, connection) }) // an error is the end of the connection
			continue
		}
		select {
		case <-closed:
			return nil
		default:
			return fmt.Errorf("accept connections to the simulated line: %w", err)
		}
	}
}
