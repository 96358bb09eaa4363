package mqtt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"

	"dlt645-mqtt/wsstream"
)

// A oneWay is a connection that has been read and written from memory.
type oneWay struct {
	net.Conn
	in     io.Reader
	writes []string
	err    error
	closed bool
}

func (o *oneWay) Read(data []byte) (int, error) { return o.in.Read(data) }

func (o *oneWay) Write(data []byte) (int, error) {
	o.writes = append(o.writes, string(data))
	return len(data), o.err
}

func (o *oneWay) Close() error { o.closed = true; return nil }

// TestStreamLooksAtTheLength reads packets of all lengths, in pieces of all sizes.
func TestStreamLooksAtTheLength(t *testing.T) {
	const most = 1000
	body := strings.Repeat("x", 2*most)
	for _, row := range []struct {
		name, sent, want string
		err              error
	}{
		{"nothing", "", "", io.EOF},
		{"empty packets", "\xD0\x00\xD0\x00", "\xD0\x00\xD0\x00", io.EOF},
		{"one and a piece", "\xD0\x00\x30\x02ab\x30", "\xD0\x00\x30\x02ab", io.ErrUnexpectedEOF},
		{"cut off in its length", "\x30\x80", "", io.ErrUnexpectedEOF},
		{"cut off", "\x30\x05ab", "\x30\x05ab", io.EOF},
		{"the longest", "\x30\xE5\x07" + body[:997], "\x30\xE5\x07" + body[:997], io.EOF},
		{"one byte too long", "\xD0\x00\x30\xE6\x07" + body[:998], "\xD0\x00", errPacketTooLarge},
		{"longer than what is left in four bytes", "\x30\xFF\xFF\xFF\x7F" + body, "", errPacketTooLarge},
		{"spelled with zeros", "\x30\x81\x80\x80\x00x", "\x30\x81\x80\x80\x00x", io.EOF},
		{"a length of five bytes", "\x30\x80\x80\x80\x80\x01", "", nil},
	} {
		for _, in := range []io.Reader{strings.NewReader(row.sent), iotest.OneByteReader(strings.NewReader(row.sent)), iotest.HalfReader(strings.NewReader(row.sent))} {
			var told error
			s := newStream(&oneWay{in: in}, most, func(err error) { told = err })
			var got bytes.Buffer
			var err error
			for err == nil {
				var n int
				data := make([]byte, 300)
				n, err = s.Read(data)
				got.Write(data[:n])
			}
			if got.String() != row.want || row.err != nil && !errors.Is(err, row.err) || row.err == nil && errors.Is(err, io.EOF) || errors.Is(err, errPacketTooLarge) != (told != nil) {
				t.Errorf("%s: %d bytes, %v; told %v", row.name, got.Len(), err, told)
			}
		}
	}
}

// TestStreamSendsAPacketInOnePiece writes packets as package paho does.
func TestStreamSendsAPacketInOnePiece(t *testing.T) {
	o := &oneWay{in: strings.NewReader("")}
	s := newStream(o, 1000, nil)
	publish := &packets.Publish{Topic: "t", Payload: []byte("abc"), Properties: &packets.Properties{}}
	for range 2 {
		if _, err := publish.WriteTo(s); err != nil {
			t.Fatal(err)
		}
	}
	if want := "\x30\x07\x00\x01t\x00abc"; len(o.writes) != 2 || o.writes[0] != want || o.writes[1] != want {
		t.Errorf("written %q", o.writes)
	}
	o.err = errors.New("broken pipe")
	if _, err := publish.WriteTo(s); err != nil || !o.closed {
		t.Errorf("%v, closed %t", err, o.closed)
	}
}

// A webSocketListener hands the WebSockets of an HTTP server out as connections.
type webSocketListener struct {
	net.Listener
	sockets chan net.Conn
}

func (l *webSocketListener) Accept() (net.Conn, error) {
	socket, ok := <-l.sockets
	if !ok {
		return nil, net.ErrClosed
	}
	return socket, nil
}

// TestPacketLargerThanAnnounced has a broker send a PUBLISH of 200 MB, over each way to a broker. It is
// not read, and the log says why the connection was given up.
func TestPacketLargerThanAnnounced(t *testing.T) {
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			sockets := make(chan net.Conn, 10)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
				if socket, err := upgrader.Upgrade(w, r, nil); err == nil {
					sockets <- wsstream.New(socket)
				}
			}))
			t.Cleanup(server.Close)
			secure := strings.HasSuffix(scheme, "s") && scheme != "ws"
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			host := server.Listener.Addr().String()
			var listener net.Listener = &webSocketListener{sockets: sockets}
			if strings.HasPrefix(scheme, "mqtt") {
				var err error
				if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = listener.Close() })
				host = listener.Addr().String()
				if secure {
					listener = tls.NewListener(listener, &tls.Config{Certificates: server.TLS.Certificates})
				}
			} else {
				t.Cleanup(func() { close(sockets) })
			}
			given := make(chan int, 10)
			broker := &deafBroker{listener, make(chan string, 100), func(connection net.Conn, _ int) {
				sent := 0
				var out bytes.Buffer
				out.WriteString("\x32\x80\x84\xAF\x5F\x00\x11test/request/read")
				_ = connection.SetWriteDeadline(time.Now().Add(20 * time.Second))
				for {
					n, err := connection.Write(out.Bytes())
					sent += n
					if err != nil {
						given <- sent
						return
					}
					out.Reset()
					out.Write(make([]byte, 64<<10))
				}
			}}
			go broker.serve(0)

			log := &written{}
			config, _ := testConfig(Broker{URLs: []*url.URL{{Scheme: scheme, Host: host}}, ClientID: "test"}, slog.New(slog.NewTextHandler(log, nil)))
			if secure {
				authorities := x509.NewCertPool()
				authorities.AddCert(server.Certificate())
				config.Broker.TLS = &tls.Config{RootCAs: authorities, ServerName: "example.com"}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := Connect(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if sent := <-given; sent > 16<<20 { // what the kernel takes on both sides
				t.Errorf("the broker got rid of %d bytes", sent)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
				t.Errorf("%d bytes of memory were taken", took)
			}
			if text := log.String(); !strings.Contains(text, "200000") || !strings.Contains(text, "1048576") {
				t.Errorf("log: %s", text)
			}
		})
	}
}

// A written is a log that may be read while it is written.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(data)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// TestStreamAcknowledgesInOrder acknowledges messages in another order than they came, and one twice.
func TestStreamAcknowledgesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &oneWay{}
		s := newStream(w, 1000, func(error) {})
		var acks []func()
		for id := range uint16(4) {
			acks = append(acks, s.owe(0x100+id))
		}
		for _, row := range []struct {
			ack  int
			want string
		}{
			{1, ""},
			{2, ""},
			{0, "\x40\x02\x01\x00" + "\x40\x02\x01\x01" + "\x40\x02\x01\x02"},
			{0, ""},
			{3, "\x40\x02\x01\x03"},
			{3, ""},
		} {
			w.writes = nil
			acks[row.ack]()
			synctest.Wait()
			if got := strings.Join(w.writes, ""); got != row.want || len(w.writes) > 1 {
				t.Errorf("message %d: acknowledged with % X in %d pieces, want % X", row.ack, got, len(w.writes), row.want)
			}
		}
		last := s.owe(9)
		_ = s.Close()
		last()
		synctest.Wait()
		if len(w.writes) > 0 {
			t.Errorf("acknowledged after the end: % X", w.writes)
		}
	})
}

// TestStreamReadsNoFurtherThanIsHandled has messages come that nobody handles for a while.
func TestStreamReadsNoFurtherThanIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 300 << 10
		var sent bytes.Buffer
		for range 7 {
			packet := packets.Publish{Topic: "t", Payload: make([]byte, size), Properties: &packets.Properties{}}
			_, _ = packet.WriteTo(&sent)
			sent.WriteString("\xD0\x00")
		}
		s := newStream(&oneWay{in: &sent}, 1<<20, nil)
		read := 0
		over := make(chan error, 1)
		go func() {
			for {
				packet, err := packets.ReadPacket(s)
				if err != nil {
					over <- err
					return
				}
				if packet.Type == packets.PUBLISH {
					read++
				}
			}
		}()
		for _, want := range []int{3, 4, 5, 6, 7} {
			synctest.Wait()
			if read != want {
				t.Errorf("%d messages were read, want %d", read, want)
			}
			s.handled()
		}
		if err := <-over; !errors.Is(err, io.EOF) {
			t.Error(err)
		}

		// The end of the connection ends the waiting.
		s = newStream(&oneWay{in: strings.NewReader("\x30\x80\x80\x3F")}, 1<<20, nil)
		s.bytes = mostUnhandled
		go func() {
			_, err := s.Read(make([]byte, 1))
			over <- err
		}()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-over; err != nil {
			t.Error(err) // what is in the buffer can be read
		}
	})
}

// TestGreetings reads the first packets of brokers. Those of MQTT 3.1.1 are told, whatever their CONNACK
// looks like, and none is taken for a success.
// TestStreamHoldsBackWhatExceeds has a broker that sends more than may be unacknowledged: the rest is read when
// there is room, in order, and the silence meanwhile is not taken for that of a broker that has gone.
func TestStreamHoldsBackWhatExceeds(t *testing.T) {
	const most, messages = 3, 8
	synctest.Test(t, func(t *testing.T) {
		var sent bytes.Buffer
		for i := range messages {
			sent.Write([]byte{0x32, 6, 0, 1, 't', 0, byte(i + 1), 0})
		}
		s := newStream(&oneWay{in: &sent}, 1000, nil)
		told := 0
		s.mostUnacknowledged, s.heldBack = most, func() { told++ }
		acks := make(chan func(), messages)
		go func() {
			packet := make([]byte, 8)
			for range messages {
				if _, err := io.ReadFull(s, packet); err != nil {
					t.Error(err)
				}
				acks <- s.owe(uint16(packet[6]))
				s.handled()
			}
		}()
		for acknowledged := range messages {
			time.Sleep(time.Minute)
			synctest.Wait()
			if got, want := len(acks)+acknowledged, min(acknowledged+most, messages); got != want {
				t.Errorf("with %d acknowledged %d have been read, want %d", acknowledged, got, want)
			}
			(<-acks)()
		}
		synctest.Wait()
		if want := (messages - most) * 8; told < want-messages || told > want {
			t.Errorf("it was told %d times that the answer to a ping waits, want about %d", told, want)
		}
	})
}

func TestGreetings(t *testing.T) {
	for _, row := range []struct {
		name, sent, want string // want: of the error; empty: it is taken
	}{
		{"MQTT 5, no properties", "\x20\x03\x00\x00\x00", ""},
		{"MQTT 5, properties", "\x20\x06\x00\x00\x03\x21\x00\x14", ""},
		{"MQTT 5, refused", "\x20\x03\x00\x87\x00", ""},
		{"3.1.1, refuses the version", "\x20\x02\x00\x01", "return code 1: unacceptable protocol version"},
		{"3.1.1, takes it all the same", "\x20\x02\x00\x00", "return code 0: accepted"},
		{"3.1.1, with a byte more", "\x20\x03\x00\x01\x00", "return code 1: unacceptable protocol version"},
		{"3.1.1, wrong password", "\x20\x03\x00\x05\x00", "return code 5: not authorised"},
		{"3.1.1, a code that there is not", "\x20\x02\x00\x09", "return code 9: unknown"},
		{"3.1.1, with properties", "\x20\x06\x00\x04\x03\x22\x00\x0A", "return code 4: bad user name or password"},
		{"3.1.1, a long length", "\x20\x82\x00\x00\x00", "return code 0: accepted"},
		{"3.1.1, a long length and a byte more", "\x20\x83\x80\x00\x00\x01\x00", "return code 1: unacceptable protocol version"},
		{"MQTT 5, a long length", "\x20\x83\x00\x00\x00\x00", ""},
		{"too short", "\x20\x01\x00", ""},
	} {
		s := newStream(&oneWay{in: iotest.OneByteReader(strings.NewReader(row.sent))}, 1000, nil)
		got, err := io.ReadAll(s)
		if row.want == "" && (err != nil || string(got) != row.sent) || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %x, %v", row.name, got, err)
		}
	}
}

// TestBrokersThatDoNotSpeakMQTT5 has brokers of other kinds at the address: the log says what they are, and
// never that we are connected.
func TestBrokersThatDoNotSpeakMQTT5(t *testing.T) {
	for _, row := range []struct{ name, scheme, says, want string }{
		{"3.1.1", "mqtt", "\x20\x02\x00\x01", "must speak MQTT 5"},
		{"3.1.1, longer", "mqtt", "\x20\x03\x00\x01\x00", "must speak MQTT 5"},
		{"3.1.1, with properties", "mqtt", "\x20\x06\x00\x01\x03\x22\x00\x0A", "must speak MQTT 5"},
		{"half a CONNACK", "mqtt", "\x20\x01\x00", "may speak 3.1.1 only"},
		{"says goodbye", "mqtt", "\xE0\x01\x84", "may speak 3.1.1 only"},
		{"HTTP", "mqtt", "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request", "it is no broker"},
		{"zeros", "mqtt", "\x00\x00\x00\x00", "it is no broker"},
		{"hangs up", "mqtt", "", "may speak 3.1.1 only"},
		{"no TLS", "mqtts", "\x20\x02\x00\x01", "nobody speaks TLS on this port"},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tried := make(chan bool, 100)
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = connection.Read(make([]byte, 10000))
				_, _ = io.WriteString(connection, row.says)
				_ = connection.Close()
				tried <- true
			}
		}()
		log := &written{}
		config, _ := testConfig(Broker{URLs: []*url.URL{{Scheme: row.scheme, Host: listener.Addr().String()}}, ClientID: "test"}, slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		l, err := Connect(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		<-tried
		<-tried // what was said of the first attempt is in the log
		cancel()
		_ = listener.Close()
		<-l.manager.Done()
		if text := log.String(); !strings.Contains(text, row.want) || strings.Contains(text, "connected to the broker") {
			t.Errorf("%s: the log says\n%s", row.name, text)
		}
	}
}
