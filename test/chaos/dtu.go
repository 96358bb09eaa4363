//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/simulator"
)

// packing is how long a DTU waits for more bytes before it sends those that it has.
const packing = 20 * time.Millisecond

// A dtu is a DTU that has a line in two topics of the broker, as hex.
type dtu struct {
	line     *simulator.Bus
	manager  *autopaho.ConnectionManager
	up, down string

	mu       sync.Mutex
	requests *io.PipeWriter // of the stream that is served; nil: none is
	packed   []byte         // bytes of the line that were not sent yet
	timer    *time.Timer    // sends them
}

// newDTU has a DTU connect to the broker for as long as ctx lasts.
func newDTU(ctx context.Context, line *simulator.Bus, broker string) (*dtu, error) {
	address, err := url.Parse("mqtt://" + broker)
	if err != nil {
		return nil, err
	}
	d := &dtu{line: line, up: fmt.Sprintf("/dtu/%d/up", os.Getpid()), down: fmt.Sprintf("/dtu/%d/down", os.Getpid())}
	d.timer = time.AfterFunc(time.Hour, func() { d.flush(ctx) })
	d.manager, err = autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{address}, KeepAlive: 10,
		ReconnectBackoff: func(int) time.Duration { return 300 * time.Millisecond },
		ConnectPacketBuilder: func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			p.CleanStart = true
			return p, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() { // where it fails the connection has ended
				_, _ = m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: d.down}}})
			}()
		},
		ClientConfig: paho.ClientConfig{
			ClientID: fmt.Sprintf("dtu-%d", os.Getpid()),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				d.writeRequest(p.Packet.Payload)
				return true, nil
			}},
		},
	})
	if err != nil {
		return nil, err
	}
	go d.serve(ctx)
	return d, nil
}

// bus is the bus URL that reaches it.
func (d *dtu) bus() string {
	return fmt.Sprintf("mqtt:?up=%s&down=%s&baud=%d&latency=300ms", d.up, d.down, baud)
}

// serve keeps the DTU on its line, also where that was reset or unplugged.
func (d *dtu) serve(ctx context.Context) {
	for {
		requests, in := io.Pipe()
		d.mu.Lock()
		d.requests = in
		d.mu.Unlock()
		_ = d.line.Serve(ctx, &dtuStream{requests, d}) // it ends with the line
		d.mu.Lock()
		d.requests = nil
		d.mu.Unlock()
		if !pause(ctx, 200*time.Millisecond) {
			return
		}
	}
}

// writeRequest puts a request on the line.
func (d *dtu) writeRequest(message []byte) {
	d.mu.Lock()
	in := d.requests
	d.mu.Unlock()
	if data, err := hex.DecodeString(string(message)); err == nil && in != nil {
		_, _ = in.Write(data) // the line may just have ended
	}
}

// flush sends what the line has brought, in letters of either case with blanks between them.
func (d *dtu) flush(ctx context.Context) {
	d.mu.Lock()
	packed := d.packed
	d.packed = nil
	d.mu.Unlock()
	if len(packed) == 0 {
		return
	}
	text := fmt.Sprintf("% x", packed)
	if len(packed)%2 == 0 {
		text = string(bytes.ToUpper([]byte(text)))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = d.manager.Publish(ctx, &paho.Publish{Topic: d.up, Payload: []byte(text)}) // it is lost where there is no broker
}

// A dtuStream is what the line is served to.
type dtuStream struct {
	*io.PipeReader
	dtu *dtu
}

func (s *dtuStream) Write(data []byte) (int, error) {
	d := s.dtu
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.requests == nil {
		return 0, errors.New("the line has ended")
	}
	d.packed = append(d.packed, data...)
	d.timer.Reset(packing)
	return len(data), nil
}
