//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/eclipse/paho.golang/packets"
)

// A witness stands between a bridge and the broker, passes everything on unchanged, and enters
// into the ledger what it sees. The way can be stalled and broken off at it.
type witness struct {
	site     *site
	listener net.Listener
	broker   string

	mu      sync.Mutex
	stalled chan struct{} // closed when the stall is over; nil: none
	through []net.Conn
}

func newWitness(at *site, address, broker string) (*witness, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	w := &witness{site: at, listener: listener, broker: broker}
	go w.accept()
	return w, nil
}

func (w *witness) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := dial(w.broker)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		w.through = append(w.through, near, far)
		w.mu.Unlock()
		p := &passage{witness: w, session: &connection{run: w.site.currentRun()}, requests: map[uint16]*delivery{}, places: map[uint16]int{}, replies: map[uint16]*answer{}}
		w.site.opened(p.session)
		var both sync.WaitGroup
		both.Go(func() { p.pass(far, near, p.toBridge) })
		both.Go(func() { p.pass(near, far, p.fromBridge) })
		go func() {
			both.Wait()
			w.site.closed(p.session)
		}()
	}
}

// stall stops everything that passes until the returned function is called.
func (w *witness) stall() (end func()) {
	over := make(chan struct{})
	w.mu.Lock()
	w.stalled = over
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		w.stalled = nil
		w.mu.Unlock()
		close(over)
	}
}

func (w *witness) wait() {
	w.mu.Lock()
	stalled := w.stalled
	w.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

// breakOff resets all connections.
func (w *witness) breakOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, connection := range w.through {
		_ = connection.(*net.TCPConn).SetLinger(0)
		_ = connection.Close()
	}
	w.through = nil
}

func (w *witness) close() {
	_ = w.listener.Close()
	w.breakOff()
}

// A passage is one connection through a witness.
type passage struct {
	*witness
	session *connection

	mu       sync.Mutex
	line     bool                 // it carries the line of a DTU, and no requests
	requests map[uint16]*delivery // by packet identifier
	places   map[uint16]int       // of these among all packets to the bridge
	replies  map[uint16]*answer
}

// pass carries packets one way until the connection ends. Each is noted before it goes on.
func (p *passage) pass(from, to net.Conn, note func(*packets.ControlPacket)) {
	defer func() { _, _ = from.Close(), to.Close() }()
	var bytes bytes.Buffer
	for {
		bytes.Reset()
		packet, err := packets.ReadPacket(io.TeeReader(from, &bytes))
		if err != nil {
			return
		}
		p.wait()
		note(packet)
		if _, err := to.Write(bytes.Bytes()); err != nil {
			return
		}
	}
}

func (p *passage) toBridge(packet *packets.ControlPacket) {
	ledger := p.site.ledger
	place := ledger.count(p.session)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line {
		return
	}
	switch content := packet.Content.(type) {
	case *packets.Suback:
		p.site.subscribed(p.session)
	case *packets.Publish:
		key := string(content.Properties.CorrelationData)
		if ledger.flooded(p.site, key, false) || content.QoS == 0 {
			return
		}
		p.requests[content.PacketID] = ledger.deliver(p.session, key)
		p.places[content.PacketID] = place
	case *packets.Puback:
		if a := p.replies[content.PacketID]; a != nil {
			ledger.acknowledge(a, place)
			delete(p.replies, content.PacketID)
		}
	}
}

func (p *passage) fromBridge(packet *packets.ControlPacket) {
	ledger := p.site.ledger
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line {
		return
	}
	switch content := packet.Content.(type) {
	case *packets.Connect:
		p.line = strings.HasSuffix(content.ClientID, "-line")
	case *packets.Publish:
		if meter, ok := strings.CutPrefix(content.Topic, p.site.root+"/meter/"); ok {
			if name, ok := strings.CutSuffix(meter, "/state"); ok {
				ledger.state(p.site, name, content.Payload)
			}
			return
		}
		if ledger.flooded(p.site, string(content.Properties.CorrelationData), true) {
			return
		}
		tail, ok := strings.CutPrefix(content.Topic, p.site.root+"/reply/")
		if !ok {
			return
		}
		p.replies[content.PacketID] = ledger.answer(p.session, p.site, tail, string(content.Properties.CorrelationData), content.Payload)
	case *packets.Puback:
		if d := p.requests[content.PacketID]; d != nil {
			ledger.noteAcknowledged(d)
		}
		ledger.hasRead(p.session, p.places[content.PacketID])
		delete(p.requests, content.PacketID)
		delete(p.places, content.PacketID)
	}
}
