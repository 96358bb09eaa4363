package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"
)

// A webConn is a WebSocket as the stream of bytes that it carries.
type webConn struct {
	*websocket.Conn
	message io.Reader
}

func (c *webConn) Read(b []byte) (int, error) {
	for {
		if c.message == nil {
			_, message, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			c.message = message
		}
		n, err := c.message.Read(b)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *webConn) Write(b []byte) (int, error) {
	return len(b), c.WriteMessage(websocket.BinaryMessage, b)
}

func (c *webConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// browse opens the WebSocket of a console as its page does.
func browse(t *testing.T, address string) net.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: patience}
	c, response, err := dialer.DialContext(t.Context(), "ws://"+address+"/mqtt", http.Header{"Origin": {"http://" + address}})
	if err != nil {
		t.Fatalf("%v, %+v", err, response)
	}
	response.Body.Close()
	t.Cleanup(func() { c.Close() })
	return packets.NewThreadSafeConn(&webConn{Conn: c}) // pings come beside other packets
}

// TestConsole speaks MQTT through the console, beside health and metrics.
func TestConsole(t *testing.T) {
	b := startMochi(t)
	address := freeAddress(t)
	root, stop := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_HTTP": address, "DLT645_CONSOLE": "true",
	})
	newClient(t, dial(t, b.address)).ready(root)
	c := newClient(t, browse(t, address), root+"/reply/#")
	if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
		t.Errorf("a read by the page: %+v", r)
	}
	if status, page := get(t, "http://"+address+"/"); status != http.StatusOK || !strings.Contains(page, `content="`+root+`"`) {
		t.Errorf("the page: %d %s", status, page)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if status, text := get(t, "http://"+address+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	// The dictionary, as the command items shows it.
	_, text := get(t, "http://"+address+"/items.json")
	var items []struct{ Protocol, Name, DI, Unit, TextEN, TextZH string }
	if err := json.Unmarshal([]byte(strings.NewReplacer("text_en", "TextEN", "text_zh", "TextZH").Replace(text)), &items); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, i := range items {
		found[i.Protocol+" "+i.Name] = i.TextEN != "" && i.TextZH != ""
	}
	for _, want := range []string{"2007 voltage_a", "2007 forward_active_energy", "1997 forward_active_energy"} {
		if !found[want] {
			t.Errorf("items.json lacks %s, or its texts", want)
		}
	}
	// What else they are called, as its search knows.
	var words struct{ Names map[string][]string }
	if _, text := get(t, "http://"+address+"/words.json"); json.Unmarshal([]byte(text), &words) != nil || !slices.Equal(words.Names["频率"], []string{"frequency"}) {
		t.Errorf("words.json: %.200s", text)
	}
	// Whatever the console answers with has its headers.
	for _, path := range []string{"//console.js", "/a/../console.js", "/metrics/", "/no-such"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode < 300 || response.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: status %d, headers %v", path, response.StatusCode, response.Header)
		}
	}
	// Frames, as the command decode explains them, and what is none.
	const frames = "68010000000000689106333434353455C116 680100000000006811043334343535B617"
	_, text = get(t, "http://"+address+"/decode?hex="+url.QueryEscape(frames))
	var explained []struct {
		Hex, Error string
		Values     map[string]float64
	}
	if err := json.Unmarshal([]byte(text), &explained); err != nil || len(explained) != 2 {
		t.Fatalf("%v in %s", err, text)
	}
	if explained[0].Values["voltage_a"] != 220.1 || explained[1].Error == "" || explained[1].Hex == "" {
		t.Errorf("decode: %s", text)
	}
	if status, text := get(t, "http://"+address+"/decode?hex=xyz"); status != http.StatusBadRequest || !strings.Contains(text, "no hex digit") {
		t.Errorf("decode of no hex: %d %s", status, text)
	}
	page := browse(t, address)
	if err := page.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := page.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the page is still connected though the bridge has stopped: %v", err)
	}
}

// TestPagesDoNotDelayRelays switches a relay while nobody looks on, and while ten pages watch the wire.
func TestPagesDoNotDelayRelays(t *testing.T) {
	b := startMochi(t)
	address := freeAddress(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_HTTP": address, "DLT645_CONSOLE": "true",
		"DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02000000", "DLT645_CLOCK": "trusted", "DLT645_TRACE": "true", "DLT645_POINTS": "basic",
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	median := func() time.Duration {
		var took []time.Duration
		for i := range 10 {
			begin := time.Now()
			if r := c.ask(root, "relay/main", []string{"trip", "close"}[i%2]); r.Result != "verified" {
				t.Fatalf("%+v", r)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	// A machine that has something else to do for a moment may delay the one and not the other. Pages that did would in
	// every round.
	for round := 1; ; round++ {
		alone := median()
		var pages []*client
		for range 10 {
			pages = append(pages, newClient(t, browse(t, address), root+"/#"))
		}
		watched := median()
		for _, page := range pages {
			page.await(root+"/bridge/frame", nil) // it has seen the wire meanwhile
			_ = page.Disconnect(&paho.Disconnect{})
		}
		t.Logf("a relay takes %v, with ten pages %v", alone, watched)
		switch {
		case watched <= 2*alone+100*time.Millisecond:
			return
		case round == 10:
			t.Fatalf("a relay takes %v, with ten pages %v", alone, watched)
		}
	}
}

// TestNoConsole finds nothing where the console is not turned on.
func TestNoConsole(t *testing.T) {
	b := startMochi(t)
	address := freeAddress(t)
	root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_HTTP": address})
	newClient(t, dial(t, b.address)).ready(root)
	for _, path := range []string{"/", "/mqtt", "/items.json", "/decode?hex=68", "/console.js"} {
		if status, _ := get(t, "http://"+address+path); status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// TestSlowlorises opens connections that say nothing, or half a request, and asks beside them.
func TestSlowlorises(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	address := freeAddress(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_HTTP": address, "DLT645_CONSOLE": "true",
	})
	newClient(t, dial(t, b.address)).ready(root)
	var slow []net.Conn
	for _, beginning := range []string{"", "GET / HTTP/1.1\r\nHost: " + address + "\r\nX-Slow: ", "GET /mqtt HTTP/1.1\r\n", "POST /decode HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 1000\r\n\r\nhalf"} {
		for range 20 {
			c := dial(t, address)
			if _, err := io.WriteString(c, beginning); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
		}
	}
	if status, text := get(t, "http://"+address+"/healthz"); status != http.StatusOK {
		t.Errorf("beside %d slow connections: %d %s", len(slow), status, text)
	}
	for i, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("slow connection %d is still open", i)
		}
	}
}

// TestEmbeddedBrokerAcknowledges publishes with properties, which must not come back in the
// acknowledgement: some clients end the connection over that.
func TestEmbeddedBrokerAcknowledges(t *testing.T) {
	b, err := startBroker("127.0.0.1:1883", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	c := newClient(t, dial(t, b.address))
	reply, err := c.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: "a/b", Payload: []byte("x"), Properties: &paho.PublishProperties{ResponseTopic: "c/d", User: paho.UserProperties{{Key: "k", Value: "v"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if reply.ReasonCode >= 0x80 || reply.ReasonCode == 1 || reply.Properties != nil && len(reply.Properties.User) > 0 {
		t.Errorf("acknowledged with code %d and %+v", reply.ReasonCode, reply.Properties)
	}
}
