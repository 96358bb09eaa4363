package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
	"golang.org/x/net/proxy"

	"dlt645-mqtt/wsstream"
)

const (
	// dialTimeout is how long it may take to connect to the broker, TLS and WebSocket included.
	dialTimeout = 10 * time.Second

	// streamBuffer is how much is read from the broker at a time, and written to it.
	streamBuffer = 4 << 10

	// mostUnhandled is how many bytes of messages may have been read and not been handled.
	mostUnhandled = 1 << 20
)

// errPacketTooLarge says that the broker sends a packet that is larger than what we have announced.
var errPacketTooLarge = errors.New("the broker sends a packet that is larger than it may")

// errHandshake says that there was a connection, over which TLS failed.
var errHandshake = errors.New("the TLS handshake failed")

// isHandshake reports whether there was a connection, over which TLS or the WebSocket failed.
func isHandshake(err error) bool {
	return errors.Is(err, errHandshake) || errors.Is(err, websocket.ErrBadHandshake)
}

// dialBroker connects to the broker. It does so in place of package autopaho, whose connections are
// read without a look at the length that a packet says it has.
func (l *Link) dialBroker(ctx context.Context, _ autopaho.ClientConfig, broker *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l.open.Store(false)
	connection, err := l.config.Broker.dialTransport(ctx, broker)
	if err != nil {
		return nil, err
	}
	l.open.Store(true)
	s := newStream(connection, int(l.config.Largest), func(err error) {
		l.config.Log.Warn("packet", "the connection to the broker is given up", "broker", broker.Redacted(), "err", err)
	})
	s.mostUnacknowledged, s.heldBack = l.config.MostUnacknowledged, l.pinger.PingResp
	l.stream.Store(s)
	return s, nil
}

// dialTransport connects by the scheme of the broker's URL.
func (b *Broker) dialTransport(ctx context.Context, broker *url.URL) (net.Conn, error) {
	scheme := strings.ToLower(broker.Scheme)
	if scheme == "ws" || scheme == "wss" {
		dialer := *websocket.DefaultDialer
		dialer.TLSClientConfig, dialer.Subprotocols = b.TLS, []string{"mqtt"}
		dialer.ReadBufferSize, dialer.WriteBufferSize = streamBuffer, streamBuffer
		dialer.NetDialContext = direct.DialContext
		socket, response, err := dialer.DialContext(ctx, broker.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("the WebSocket does not come about: %w", err)
		}
		_ = response.Body.Close() // it is empty
		return wsstream.New(socket), nil
	}
	connection, err := dialThrough(ctx, proxy.FromEnvironmentUsing(direct), broker.Host) // directly, unless ALL_PROXY is set
	if err != nil {
		return nil, err
	}
	if scheme != "mqtts" {
		return connection, nil
	}
	config := b.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = broker.Hostname()
	}
	secured := tls.Client(connection, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return secured, nil
}

// direct connects without a proxy, and has little wait on the way to us.
var direct = &net.Dialer{Control: func(_, _ string, connection syscall.RawConn) error { return connection.Control(keepShort) }}

// dialThrough connects by a dialer, which need not know of contexts.
func dialThrough(ctx context.Context, dialer proxy.Dialer, address string) (net.Conn, error) {
	if dialer, ok := dialer.(proxy.ContextDialer); ok {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return dialer.Dial("tcp", address)
}

// A stream is a connection to the broker as package paho uses it. It looks at the length of each packet
// before that is read, and sends each packet in one piece: paho locks it, writes the packet's parts,
// and unlocks it.
//
// Lock order: writing before mu.
type stream struct {
	net.Conn
	most    int         // bytes of a packet that may come
	tooLong func(error) // told of one that is longer

	mostUnacknowledged int    // messages; 0: any number
	heldBack           func() // told now and then that the broker's answer to a ping waits unread

	reader *bufio.Reader
	left   int // bytes of the packet under way that were not read yet

	greeted bool // the first packet has begun to come

	// Messages are read ahead, as many as the receive maximum allows, and each may be large.
	mu        sync.Mutex
	handling  sync.Cond // signalled when one was handled, and at the end
	unhandled []int     // sizes of the messages that were read and not handled
	bytes     int       // their sum
	closed    bool
	owed      []*acknowledgement // in the order in which the messages came
	paying    bool               // a goroutine sends those that are due

	writing sync.Mutex
	out     bytes.Buffer
}

func newStream(connection net.Conn, most int, tooLong func(error)) *stream {
	s := &stream{Conn: connection, most: most, tooLong: tooLong, reader: bufio.NewReaderSize(connection, streamBuffer)}
	s.handling.L = &s.mu
	return s
}

// await waits until a message of that size may be read.
func (s *stream) await(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.bytes > 0 && s.bytes+size > mostUnhandled && !s.closed {
		s.handling.Wait()
	}
	if s.full() {
		done := make(chan struct{})
		defer close(done)
		go s.tellHeldBack(done)
	}
	for s.full() {
		s.handling.Wait()
	}
	s.unhandled = append(s.unhandled, size)
	s.bytes += size
}

// full reports whether no more messages are to be read until one is acknowledged. The caller holds the lock.
func (s *stream) full() bool {
	return s.mostUnacknowledged > 0 && len(s.owed)+len(s.unhandled) >= s.mostUnacknowledged && !s.closed
}

// tellHeldBack tells that the broker's answer to a ping may wait unread, until done.
func (s *stream) tellHeldBack(done <-chan struct{}) {
	ticker := time.NewTicker(keepAlive * time.Second / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.heldBack()
		case <-done:
			return
		}
	}
}

// handled notes that the message that was read first has been handled.
func (s *stream) handled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unhandled) > 0 {
		s.bytes -= s.unhandled[0]
		s.unhandled = s.unhandled[1:]
		s.handling.Signal()
	}
}

// An acknowledgement of a message is owed to the broker until it is due, and all before it.
type acknowledgement struct {
	id  uint16
	due bool
}

// owe notes a message of QoS 1 that must be acknowledged, and returns what does that. Acknowledgements go out in the
// order in which the messages came (MQTT 5, clause 4.6), as many as there are at a time.
func (s *stream) owe(id uint16) (ack func()) {
	a := &acknowledgement{id: id}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = append(s.owed, a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.due {
			return // it was called before
		}
		a.due = true
		if s.owed[0].due && !s.paying {
			s.paying = true
			go s.pay()
		}
	}
}

// pay sends acknowledgements until none is due.
func (s *stream) pay() {
	for {
		var packet []byte
		s.mu.Lock()
		n := 0
		for ; n < len(s.owed) && s.owed[n].due; n++ {
			packet = append(packet, packets.PUBACK<<4, 2, byte(s.owed[n].id>>8), byte(s.owed[n].id))
		}
		s.owed = slices.Delete(s.owed, 0, n)
		s.handling.Signal()
		s.paying = n > 0
		s.mu.Unlock()
		if n == 0 {
			return
		}
		s.Lock()
		_, _ = s.Write(packet) // it fails if the connection has ended
		s.Unlock()
	}
}

// Close ends the connection.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.handling.Broadcast()
	s.mu.Unlock()
	return s.Conn.Close()
}

// Read reads no further than to the end of a packet.
func (s *stream) Read(data []byte) (int, error) {
	if s.left == 0 {
		length, err := s.length()
		if err != nil {
			return 0, err
		}
		if length > s.most {
			err := fmt.Errorf("%w: %d bytes, and we have told it that we take %d", errPacketTooLarge, length, s.most)
			s.tooLong(err)
			return 0, err
		}
		first, _ := s.reader.Peek(1)
		if !s.greeted {
			if err := s.greeting(length); err != nil {
				return 0, err
			}
			s.greeted = true
		}
		if first[0]>>4 == packets.PUBLISH {
			s.await(length)
		}
		s.left = length
	}
	n, err := s.reader.Read(data[:min(len(data), s.left)])
	s.left -= n
	return n, err
}

// An oldBrokerError is the CONNACK of a broker that speaks MQTT 3.1.1 only, by its return code. Such a
// packet has no properties (MQTT 3.1.1, clause 3.2), or a return code that is no reason code of MQTT 5.
type oldBrokerError byte

func (e oldBrokerError) Error() string {
	reasons := []string{"accepted", "unacceptable protocol version", "identifier rejected", "server unavailable", "bad user name or password", "not authorised"}
	reason := "unknown"
	if int(e) < len(reasons) {
		reason = reasons[e]
	}
	return fmt.Sprintf("the broker answers in MQTT 3.1.1 (return code %d: %s)", byte(e), reason)
}

// greeting looks at the first packet of the broker, of so many bytes. Package paho takes some answers of
// brokers of MQTT 3.1.1 for a success.
func (s *stream) greeting(length int) error {
	first, _ := s.reader.Peek(1)
	if first[0]>>4 != packets.CONNACK {
		return nil
	}
	start := 2 // behind the fixed header, whose length need not be written as shortly as it may
	for {
		header, err := s.reader.Peek(start)
		if err != nil {
			return err
		}
		if header[start-1] < 0x80 {
			break
		}
		start++
	}
	const flagsAndCode = 2
	if length < start+flagsAndCode {
		return nil
	}
	packet, err := s.reader.Peek(start + flagsAndCode)
	if err != nil {
		return err
	}
	code := packet[start+1]
	if length == start+flagsAndCode || code > 0 && code < leastError {
		return oldBrokerError(code)
	}
	return nil
}

// length returns how many bytes the packet has that comes next, by its fixed header: a byte, and the
// number of bytes after the header, seven bits in each byte, the lowest first (MQTT 5, clause 2.1).
func (s *stream) length() (int, error) {
	const mostHeader = 5
	rest := 0
	for n := 2; n <= mostHeader; n++ {
		header, err := s.reader.Peek(n)
		if err != nil {
			if len(header) > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		last := header[n-1]
		rest |= int(last&0x7F) << (7 * (n - 2))
		if last < 0x80 {
			return n + rest, nil
		}
	}
	return 0, errors.New("the broker sends what is no MQTT: a length of more than four bytes")
}

// Lock begins a packet.
func (s *stream) Lock() { s.writing.Lock() }

// Write adds to the packet that has begun.
func (s *stream) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	return s.out.Write(data)
}

// Unlock ends a packet and sends it. Where that fails the connection has ended, which shows when it
// is read.
func (s *stream) Unlock() {
	defer s.writing.Unlock()
	if s.out.Len() == 0 {
		return
	}
	if _, err := s.Conn.Write(s.out.Bytes()); err != nil {
		_ = s.Close()
	}
	s.out.Reset()
	if s.out.Cap() > 16*streamBuffer { // of a rare large one
		s.out = bytes.Buffer{}
	}
}
