package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// A comPortServer is a serial server that speaks RFC 2217, with the meters of answer behind it.
type comPortServer struct {
	listener  net.Listener
	accept    func(s comPortSetting) bool       // takes a setting; nil: each
	answer    func(mode, request string) string // of the line
	silent    bool                              // it takes no part in the talk
	mute      byte                              // a command that it does not confirm
	greeting  []byte                            // sent first
	refuses   []byte                            // options that it refuses
	connected func(conn net.Conn)
	extra     []byte // sent before each answer of the line
}

func (s *comPortServer) start(t *testing.T) (address string) {
	t.Helper()
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.listener.Close() })
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s.listener.Addr().String()
}

func (s *comPortServer) serve(conn net.Conn) {
	defer conn.Close()
	if s.connected != nil {
		s.connected(conn)
	}
	out := slices.Clone(s.greeting)
	values := map[byte]uint32{comPortBaud: 115200, comPortParity: 1, comPortStop: 1, comPortDataSize: 7, comPortControl: flowByBytes}
	tn := telnet{
		negotiated: func(command, option byte) {
			yes := map[byte]byte{telnetWill: telnetDo, telnetDo: telnetWill}[command]
			if slices.Contains(s.refuses, option) {
				yes = map[byte]byte{telnetWill: telnetDont, telnetDo: telnetWont}[command]
			}
			if yes != 0 {
				out = append(out, telnetIAC, yes, option)
			}
		},
		subnegotiated: func(option byte, data []byte) {
			setting := comPortSetting{data[0], uint32(data[1])}
			if data[0] == comPortBaud {
				setting.value = binary.BigEndian.Uint32(data[1:])
			}
			if s.accept == nil || s.accept(setting) {
				values[setting.command] = setting.value
			}
			if setting.command == s.mute {
				return
			}
			now := []byte{data[0] + comPortAnswer, byte(values[data[0]])}
			if data[0] == comPortBaud {
				now = binary.BigEndian.AppendUint32(now[:1], values[comPortBaud])
			}
			out = append(out, subnegotiation(option, now...)...)
		},
	}
	data := make([]byte, 1024)
	for {
		if _, err := conn.Write(out); err != nil {
			return
		}
		out = out[:0]
		n, err := conn.Read(data)
		if err != nil {
			return
		}
		if s.silent {
			continue
		}
		request := strings.TrimLeft(string(tn.sift(data[:n])), "\xFE")
		if request != "" {
			mode := fmt.Sprintf("%v, %v, %v", comPortSetting{comPortBaud, values[comPortBaud]}, comPortSetting{comPortParity, values[comPortParity]}, comPortSetting{comPortStop, values[comPortStop]})
			out = append(append(out, s.extra...), escaped([]byte(s.answer(mode, request)))...)
		}
	}
}

func openURL(t *testing.T, url string) (Port, error) {
	t.Helper()
	config, err := ParseURL(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	port, err := config.Open(t.Context())
	if err == nil {
		t.Cleanup(func() { port.Close() })
	}
	return port, err
}

func TestRFC2217Port(t *testing.T) {
	s := comPortServer{answer: func(mode, request string) string { return mode + ": " + request + "\xFF\xFF\r\x00\x11\xFF" }}
	// A greeting of its own, and events of the line that nobody asked for.
	s.greeting = []byte{telnetIAC, telnetWill, 1, telnetIAC, telnetDo, 31, telnetIAC, telnetDont, 1, telnetIAC, 241}
	s.extra = slices.Concat(subnegotiation(optionComPort, 106, 0x60), []byte{telnetIAC, telnetDo, 31}, subnegotiation(24, 1), subnegotiation(optionComPort))
	opened, err := openURL(t, "rfc2217://"+s.start(t)+"?baud=9600&parity=odd&stop=2")
	if err != nil {
		t.Fatal(err)
	}
	port := opened.(Tuner)
	if n, err := port.Read(make([]byte, 10), 0); n != 0 || err != nil {
		t.Errorf("silent line: %d bytes, %v", n, err)
	}
	for _, test := range []struct {
		mode protocol.Mode
		want string
	}{{protocol.Mode{}, "9600 baud, parity odd, stop bits 2"}, {modeOf(65535, "even"), "65535 baud, parity even, stop bits 1"}, {modeOf(65535, "none"), "65535 baud, parity none, stop bits 1"}} {
		if test.mode.Baud != 0 {
			if err := port.Tune(test.mode); err != nil {
				t.Fatal(err)
			}
		}
		// Each byte passes, both ways.
		const request = "\x00\x03\r\n\r\x00\x11\x13\xFF\xF0\xFF\xFF\xFA\x2C"
		if n, err := port.Write([]byte(request)); n != len(request) || err != nil {
			t.Fatal(n, err)
		}
		readAll(t, port, test.want+": "+request+"\xFF\xFF\r\x00\x11\xFF")
	}
}

func TestRFC2217ServersThatRefuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		server comPortServer
		want   string
	}{
		{"speed", comPortServer{accept: func(s comPortSetting) bool { return s.command != comPortBaud }}, "to 2400 baud, parity even, stop bits 1: the serial server refuses: it keeps 115200 baud; "},
		{"parity", comPortServer{accept: func(s comPortSetting) bool { return s.command != comPortParity }}, "the serial server refuses: it keeps parity none; "},
		{"all", comPortServer{accept: func(s comPortSetting) bool { return false }}, "it keeps 115200 baud, parity none; "},
		{"option", comPortServer{refuses: []byte{optionComPort}}, "the server refuses RFC 2217"},
		{"binary", comPortServer{refuses: []byte{optionBinary}}, "pass all bytes"},
		{"no flow control", comPortServer{accept: func(s comPortSetting) bool { return s.command != comPortControl }}, "flow control by XON and XOFF"},
		{"eight bits", comPortServer{accept: func(s comPortSetting) bool { return s.command != comPortDataSize }}, "keeps 7 data bits"},
		{"to confirm", comPortServer{mute: comPortParity}, "the serial server has not confirmed it within 2s"},
		{"to talk", comPortServer{silent: true}, "the server does not speak RFC 2217: it has not agreed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // some take seconds
			address := test.server.start(t)
			latency := longestLatency // who does confirm may take its time
			if test.server.mute != 0 {
				latency = 0
			}
			_, err := openURL(t, fmt.Sprintf("rfc2217://%s?latency=%v", address, latency))
			if err == nil || !strings.HasPrefix(err.Error(), "open rfc2217://"+address+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if lasting := test.name != "to confirm"; lasts(err) != lasting {
				t.Errorf("lasts is %v of %v", lasts(err), err)
			}
		})
	}
}

// TestMetersOfTwoModesBehindASerialServer asks meters of two speeds by turns. A third speed the server does not have.
func TestMetersOfTwoModesBehindASerialServer(t *testing.T) {
	s := comPortServer{
		accept: func(s comPortSetting) bool { return s.command != comPortBaud || s.value != 300 },
		answer: func(mode, request string) string {
			if request[1] == 'a' && strings.HasPrefix(mode, "2400 baud, parity even") || request[1] == 'b' && strings.HasPrefix(mode, "9600 baud, parity none") {
				return prompt(request)[0].text
			}
			return ""
		},
	}
	config, err := ParseURL("rfc2217://"+s.start(t)+"?timeout=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, ask := run(t, config)
	mode, tunable := b.Mode()
	equal(t, "own mode", mode, modeOf(2400, "even"))
	equal(t, "tunable", tunable, true)
	for range 3 {
		equal(t, "own mode", ask(time.Time{}), "1")
		report, err := b.Submit(Job{Steps: []protocol.Step{inMode(read("b", "v"), modeOf(9600, "none"))}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "another mode", values(<-report), "1")
		report, err = b.Submit(Job{Steps: []protocol.Step{inMode(read("b", "v"), modeOf(300, "none"))}})
		if err != nil {
			t.Fatal(err)
		}
		if err := (<-report).Replies[0].Err; !errors.Is(err, protocol.ErrUnsupported) || !strings.Contains(err.Error(), "refuses: it keeps 9600 baud") {
			t.Errorf("a speed that the server does not have: %v", err)
		}
	}
}

// TestServerThatIsLostWhileItIsSet breaks the connection when the line is set to another mode. The read is
// answered over the next one.
func TestServerThatIsLostWhileItIsSet(t *testing.T) {
	var refused atomic.Bool
	var conns sync.Map
	s := comPortServer{answer: func(_, request string) string { return prompt(request)[0].text }}
	s.accept = func(setting comPortSetting) bool {
		if setting.command == comPortBaud && setting.value == 9600 && refused.CompareAndSwap(false, true) {
			conns.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		}
		return true
	}
	s.connected = func(conn net.Conn) { conns.Store(conn, nil) }
	config, err := ParseURL("rfc2217://"+s.start(t)+"?timeout=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := run(t, config)
	report, err := b.Submit(Job{Steps: []protocol.Step{inMode(read("b", "v"), modeOf(9600, "none"))}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "value", values(<-report), "1")
	equal(t, "lost", refused.Load(), true)
}
