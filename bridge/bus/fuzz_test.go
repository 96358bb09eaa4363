package bus

import (
	"bytes"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
)

// FuzzParseURL reads any bus URL. What is taken can be opened, is within the ranges, and is
// shown without the registration packet in a form that can be read again.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"serial:///dev/ttyUSB0?baud=9600&parity=none&stop=2&fe=0&gap=30&timeout=800ms&latency=20ms&rs485=rts",
		"tcp://10.0.0.1:4001?gap=1s", "rfc2217://10.0.0.1:4001?baud=9600", "tcp://[fe80::1%25eth0]:4001", "listen://:4001?register=DTU-7&heartbeat=hex:0d0a", "listen://127.0.0.1:1?register=hex:zz",
		"sim://?meters=4&fault=late:0.5", "tcp://user:pass@host:1#x", "mqtt:?up=/a/up&down=b%26c&qos=1&payload=hex", "mqtt:?up=a+&down=$a", "serial:///dev/tty?baud=1e99&gap=-1s&timeout=9999999h", "%zz", "",
	} {
		f.Add(seed)
	}
	sim := func(*Settings, url.Values) (Opener, error) { return nil, errors.New("not here") }
	f.Fuzz(func(t *testing.T, text string) {
		config, err := ParseURL(text, map[string]OpenFunc{"sim": sim})
		if err != nil {
			if config.Open != nil || err.Error() == "" {
				t.Errorf("%q: %v, and an opener", text, err)
			}
			return
		}
		s := config.Settings
		if config.Open == nil || s.Baud < protocol.LowestBaud || s.Baud > protocol.HighestBaud || s.WakeUps > mostWakeUp || s.Gap > longestGap || s.Timeout < shortestAnswer || s.Timeout > longestAnswer || s.Latency < 0 || s.Latency > longestLatency {
			t.Errorf("%q: %+v", text, config)
		}
		if u, err := url.Parse(text); err == nil {
			if secret := u.Query().Get("register"); secret != "" && !strings.Contains("hidden", secret) && strings.Contains(config.URL, "register="+url.QueryEscape(secret)) {
				t.Errorf("%q is shown as %s", text, config.URL)
			}
		}
		if again, err := ParseURL(config.URL, nil); err != nil || again.Settings != s || again.URL != config.URL {
			t.Errorf("%q is shown as %q: %+v, %v", text, config.URL, again, err)
		}
	})
}

// FuzzHeartbeats cuts the stream of a DTU into pieces. Whatever they are, nothing is lost but
// whole heartbeats, nothing is put in, and a heartbeat that comes in one piece is gone.
func FuzzHeartbeats(f *testing.F) {
	f.Add([]byte("DTU-7=av1.\xAA\xBB\xCC=av2.\xAA\xBB"), []byte{3, 9, 1, 1})
	f.Add([]byte("\xAA\xAA\xBB\xCC\xBB\xCC\xAA\xBB"), []byte{1})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		heartbeat := []byte{0xAA, 0xBB, 0xCC}
		p := &dtuPort{listener: &listener{heartbeat: heartbeat}}
		var got []byte
		whole := true
		for rest := stream; len(rest) > 0; {
			size := len(rest)
			if len(sizes) > 0 {
				size, sizes = min(1+int(sizes[0]), size), sizes[1:]
				whole = whole && size == len(rest)
			}
			got = append(got, p.sift(slices.Concat(p.held, rest[:size]), false)...)
			rest = rest[size:]
		}
		got = append(got, p.sift(slices.Concat(p.held), true)...)
		if len(p.held) > 0 || (len(stream)-len(got))%len(heartbeat) != 0 {
			t.Errorf("% X: %d bytes of %d came, %d are held", stream, len(got), len(stream), len(p.held))
		}
		if want := bytes.ReplaceAll(stream, heartbeat, nil); whole && !bytes.Equal(got, want) {
			t.Errorf("% X: got % X, want % X", stream, got, want)
		}
		for _, c := range stream { // in the same order
			if len(got) > 0 && got[0] == c {
				got = got[1:]
			}
		}
		if len(got) > 0 {
			t.Errorf("% X: % X came besides", stream, got)
		}
	})
}

// FuzzTelnet gives what a server sends in pieces. Where they end makes no difference, bytes of the line pass as
// they are, and no server draws more out of us than each negotiation once.
func FuzzTelnet(f *testing.F) {
	f.Add([]byte("=av1.\xFF\xFF\xFF\xFB\x01\xFF\xFA\x2C\x65\x00\x00\x25\x80\xFF\xF0=av2."), []byte("\xFF\r\x00"), []byte{3, 9, 1, 1})
	f.Add([]byte("\xFF\xFA\x2C\xFF\xFF\xFF\xF0\xFF\xFE\x00\xFF\xFD\x2C\xFF"), []byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, stream, text, sizes []byte) {
		sift := func(p *rfc2217Port, data, sizes []byte) (line []byte) {
			for rest := bytes.Clone(data); len(rest) > 0; {
				size := len(rest)
				if len(sizes) > 0 {
					size, sizes = min(1+int(sizes[0]), size), sizes[1:]
				}
				line = append(line, p.telnet.sift(rest[:size])...)
				rest = rest[size:]
			}
			return line
		}
		whole, pieces := newRFC2217Port(nil, 0), newRFC2217Port(nil, 0)
		if a, b := sift(whole, stream, nil), sift(pieces, stream, sizes); !bytes.Equal(a, b) || !bytes.Equal(whole.out, pieces.out) || !maps.Equal(whole.values, pieces.values) {
			t.Errorf("% X: as a whole % X, in pieces % X", stream, a, b)
		}
		if len(whole.out) > 4*256*3 {
			t.Errorf("%d bytes of answers", len(whole.out))
		}
		clean := newRFC2217Port(nil, 0)
		sent := slices.Concat(escaped(text), subnegotiation(optionComPort, append([]byte{101}, text...)...), escaped(text))
		if got, want := sift(clean, sent, sizes), slices.Concat(text, text); !bytes.Equal(got, want) || len(clean.out) > 0 {
			t.Errorf("% X: got % X, want % X", sent, got, want)
		}
	})
}
