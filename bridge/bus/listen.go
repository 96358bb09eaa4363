package bus

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// dialInTimeout is how long an opener waits for the DTU before it says that none came.
	dialInTimeout = 10 * time.Second

	// registerTimeout is how long a connection may take to register, mostUnregistered how many may
	// be about to. One more takes the place of the oldest from the address that has most: a DTU registers
	// within a second or two, and must not be kept out by connections that say nothing, though a hundred
	// of them come a second.
	registerTimeout  = 10 * time.Second
	mostUnregistered = 256

	// heartbeatGap is how long the rest of a heartbeat may be under way.
	heartbeatGap = 50 * time.Millisecond
)

// A listener waits for a DTU, a modem that dials in and then passes on the line. Only a
// connection that begins with the registration packet gets the line, and it takes it from
// the one that had it: a DTU that dials again has lost its old connection, though that may
// look alive from here. Without a packet to tell by, who has the line keeps it.
type listener struct {
	address   string
	register  []byte // nil: whoever comes first
	heartbeat []byte // nil: none

	mu        sync.Mutex
	listening bool
	greeted   []net.Conn    // have not registered yet, the oldest first
	strangers int           // connections turned away
	holder    net.Conn      // has the line
	waiting   chan net.Conn // the holder until it is taken up
}

// listen returns the opener of a line that a DTU brings.
func (p *parameters) listen(u *url.URL) *listener {
	p.noPath(u)
	p.port(u)
	l := &listener{
		address:   u.Host,
		register:  p.packet("register"),
		heartbeat: p.packet("heartbeat"),
		waiting:   make(chan net.Conn, 1),
	}
	if l.register == nil && !isPrivate(u.Hostname()) {
		p.complain("the bus URL would let anybody who dials in answer for the meters; set register to the registration packet of the DTU, or listen on a private address as in listen://192.168.1.2:4001")
	}
	return l
}

// isPrivate reports whether a host is an address that cannot be reached from the internet.
func isPrivate(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast())
}

// packet reads what a DTU sends of itself: text, or bytes as hex:…
func (p *parameters) packet(name string) []byte {
	text, ok := p.pop(name)
	if !ok {
		return nil
	}
	packet := []byte(text)
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		var err error
		if packet, err = hex.DecodeString(digits); err != nil {
			p.complain("%s of the bus URL: after hex: write two hexadecimal digits for each byte", name)
			return nil
		}
	}
	// A single byte would be found in the frames of meters.
	if len(packet) < 2 || len(packet) > 256 {
		p.complain("%s of the bus URL: write 2 to 256 bytes, as text or as hex:…", name)
	}
	return packet
}

// open waits for a connection that has the line.
func (l *listener) open(ctx context.Context) (Port, error) {
	if err := l.listen(ctx); err != nil {
		return nil, err
	}
	timer := time.NewTimer(dialInTimeout)
	defer timer.Stop()
	select {
	case conn := <-l.waiting:
		port, err := newTCPPort(conn.(*net.TCPConn))
		if err != nil {
			l.leave(conn)
			return nil, err
		}
		return &dtuPort{tcpPort: port, listener: l}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("listen on %s: no DTU has dialled in (%d other connections were turned away): check the address that it dials, and its registration packet", l.address, l.turnedAway())
	}
}

// listen accepts connections until ctx ends.
func (l *listener) listen(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listening {
		return nil
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	server, err := config.Listen(ctx, "tcp", l.address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w: is another program using the port?", l.address, err)
	}
	l.listening = true
	stop := context.AfterFunc(ctx, func() { server.Close() })
	go func() {
		defer stop()
		for {
			conn, err := server.Accept()
			if err != nil {
				break
			}
			l.receive(conn)
			go l.greet(conn)
		}
		server.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.listening = false // the next opener tries again
		if ctx.Err() != nil {
			select {
			case conn := <-l.waiting:
				conn.Close()
				l.holder = nil
			default:
			}
		}
	}()
	return nil
}

// receive lets a connection in to register.
func (l *listener) receive(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.greeted = append(l.greeted, conn)
	if len(l.greeted) > mostUnregistered {
		i := firstToGo(l.greeted)
		l.greeted[i].Close()
		l.greeted = slices.Delete(l.greeted, i, i+1)
	}
}

// firstToGo returns which of the connections, the oldest first, gives way to another: the oldest of whoever
// has most. Where several have as many, it is the oldest of all of theirs.
func firstToGo(connections []net.Conn) (first int) {
	counts := map[netip.Prefix]int{}
	for _, conn := range connections {
		counts[origin(conn)]++
	}
	for i, conn := range connections {
		if counts[origin(conn)] > counts[origin(connections[first])] {
			first = i
		}
	}
	return first
}

// origin returns who a connection comes from, as far as its address tells: the address, or of IPv6 the network
// of 64 bits, of which a single host may have all addresses.
func origin(conn net.Conn) netip.Prefix {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	address := tcp.AddrPort().Addr().Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, _ := address.WithZone("").Prefix(bits) // a length that each address has
	return prefix
}

// greet gives the line to a connection that registers, and closes any other.
func (l *listener) greet(conn net.Conn) {
	admitted := l.register == nil || l.registers(conn)

	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.greeted, conn)
	if place >= 0 {
		l.greeted = slices.Delete(l.greeted, place, place+1)
	}
	if !admitted || place < 0 || l.register == nil && l.holder != nil {
		l.strangers++
		conn.Close()
		return
	}
	if l.holder != nil {
		l.holder.Close()
		select {
		case <-l.waiting:
		default: // the bus has it, and finds it closed
		}
	}
	l.holder = conn
	l.waiting <- conn
}

// registers reports whether the connection begins with the registration packet.
func (l *listener) registers(conn net.Conn) bool {
	packet := make([]byte, len(l.register))
	if conn.SetReadDeadline(time.Now().Add(registerTimeout)) != nil {
		return false
	}
	if _, err := io.ReadFull(conn, packet); err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(packet, l.register) == 1 && conn.SetReadDeadline(time.Time{}) == nil
}

// leave notes that a connection is gone.
func (l *listener) leave(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == conn {
		l.holder = nil
	}
}

// turnedAway returns how many connections did not get the line.
func (l *listener) turnedAway() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strangers
}

// dtuPort is the connection of a DTU. What that sends of itself is no part of the line.
type dtuPort struct {
	*tcpPort
	listener *listener
	held     []byte // read, and perhaps the beginning of such a packet
}

func (p *dtuPort) Read(data []byte, wait time.Duration) (int, error) {
	until := time.Now().Add(wait)
	for {
		patience := wait
		if len(p.held) > 0 {
			patience = min(wait, heartbeatGap)
		}
		n, err := p.tcpPort.Read(data[len(p.held):], patience)
		if err != nil {
			return 0, err
		}
		// data may be overwritten up to where the new bytes begin.
		copy(data, p.held)
		got := p.sift(data[:len(p.held)+n], n == 0)
		if wait = time.Until(until); len(got) > 0 || n == 0 || wait <= 0 && len(p.held) == 0 {
			return len(got), nil
		}
	}
}

// sift takes the packets of the DTU out of what was held and read, in place, and holds back what
// may be the beginning of one, unless the line is quiet.
func (p *dtuPort) sift(data []byte, quiet bool) []byte {
	p.held = p.held[:0]
	packets := [][]byte{p.listener.heartbeat, p.listener.register}
	for _, packet := range packets {
		if len(packet) > 0 {
			data = append(data[:0], bytes.ReplaceAll(data, packet, nil)...)
		}
	}
	if quiet {
		return data
	}
	tail := max(beginning(data, packets[0]), beginning(data, packets[1]))
	p.held = append(p.held, data[len(data)-tail:]...)
	return data[:len(data)-tail]
}

// beginning returns how many bytes at the end of data may be the beginning of the packet.
func beginning(data, packet []byte) int {
	for n := min(len(data), len(packet)-1); n > 0; n-- {
		if bytes.HasSuffix(data, packet[:n]) {
			return n
		}
	}
	return 0
}

func (p *dtuPort) Close() error {
	p.listener.leave(p.conn)
	return p.tcpPort.Close()
}
