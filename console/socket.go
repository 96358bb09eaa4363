package console

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"dlt645-mqtt/wsstream"
)

const (
	mostSockets = 32
	mostMessage = 1 << 20          // bytes of a message of the browser's
	reach       = 5 * time.Second  // in which the broker must be reached
	stuck       = 30 * time.Second // in which either side must take what is sent to it
	portion     = 16 << 10         // bytes that are carried at once
	protocol    = "mqtt"           // the WebSocket subprotocol, MQTT 5, 6
)

// patience is how long a page may be silent.
type patience struct {
	first time.Duration // until it begins to speak
	later time.Duration // after that; MQTT's keep-alive of the page is shorter
}

var usual = patience{10 * time.Second, 2 * time.Minute}

var buffers sync.Pool // of websocket's

// carry takes a browser's MQTT to the broker, and the broker's to the browser, byte for byte.
func (c *Console) carry(w http.ResponseWriter, r *http.Request) {
	if !sameOrigin(r) {
		c.refuse(w, r, http.StatusForbidden, "origin", fmt.Sprintf(
			"A page of %q may not speak to the broker of %q. Behind a reverse proxy, have it pass on the Host header.", r.Header.Get("Origin"), r.Host))
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "This is the way of the console's page to the broker: MQTT over WebSocket.", http.StatusUpgradeRequired)
		return
	}
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	default:
		w.Header().Set("Retry-After", "30")
		c.refuse(w, r, http.StatusServiceUnavailable, "crowd", fmt.Sprintf("%d pages are connected already; close one of them.", mostSockets))
		return
	}
	broker, err := c.dial(r.Context())
	if err != nil {
		c.refuse(w, r, http.StatusBadGateway, "broker", fmt.Sprintf("The broker %s cannot be reached: %v", c.brokers(), err))
		return
	}
	defer broker.Close()
	upgrader := websocket.Upgrader{
		Subprotocols: []string{protocol}, WriteBufferPool: &buffers, WriteBufferSize: 4096,
		CheckOrigin: func(*http.Request) bool { return true }, // checked above
	}
	browser, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer browser.Close()
	// Each way ends the other one, and so does the end of the server.
	hangUp := func() {
		_ = browser.Close()
		_ = broker.Close()
	}
	defer context.AfterFunc(r.Context(), hangUp)()
	var back sync.WaitGroup
	back.Go(func() {
		defer hangUp()
		toBrowser(browser, broker)
	})
	toBroker(broker, browser, c.patience)
	hangUp()
	back.Wait()
}

// toBroker carries messages until one side ends, is silent for too long, or sends one that is too long.
func toBroker(broker net.Conn, browser *websocket.Conn, p patience) {
	browser.SetReadLimit(mostMessage)
	buffer := make([]byte, portion)
	for silence := p.first; ; silence = p.later {
		// It holds for the whole message: a trickle is no sign of life.
		if browser.SetReadDeadline(time.Now().Add(silence)) != nil {
			return
		}
		kind, message, err := browser.NextReader()
		if err != nil {
			return
		}
		if kind != websocket.BinaryMessage { // MQTT 5, 6.0
			refuse := websocket.FormatCloseMessage(websocket.CloseUnsupportedData, "MQTT comes in binary messages")
			_ = browser.WriteControl(websocket.CloseMessage, refuse, time.Now().Add(time.Second))
			return
		}
		if _, err := io.CopyBuffer(patient{broker}, message, buffer); err != nil {
			return
		}
	}
}

// toBrowser carries what the broker sends, until one side ends.
func toBrowser(browser *websocket.Conn, broker net.Conn) {
	buffer := make([]byte, portion)
	for {
		n, err := broker.Read(buffer)
		if n > 0 {
			if browser.SetWriteDeadline(time.Now().Add(stuck)) != nil || browser.WriteMessage(websocket.BinaryMessage, buffer[:n]) != nil {
				return
			}
		}
		if err != nil {
			// A page that is told so begins anew at once.
			goodbye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the broker has ended the connection")
			_ = browser.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
			return
		}
	}
}

// A patient writer gives each write its time.
type patient struct{ net.Conn }

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(stuck)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// dial connects to the broker as the configuration says, with all that it says of TLS, but not as
// the bridge: the bridge's certificate would give a page the bridge's rights.
func (c *Console) dial(ctx context.Context) (connection net.Conn, err error) {
	for _, u := range c.config.Brokers {
		if connection, err = c.dialOne(ctx, u); err == nil {
			return connection, nil
		}
	}
	return nil, err
}

// brokers returns the addresses for people.
func (c *Console) brokers() string {
	var all []string
	for _, u := range c.config.Brokers {
		all = append(all, u.Redacted())
	}
	return strings.Join(all, ",")
}

func (c *Console) dialOne(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	var known *tls.Config
	if c.config.TLS != nil {
		known = c.config.TLS.Clone()
		known.Certificates, known.GetClientCertificate = nil, nil
	}
	switch u.Scheme {
	case "mqtt":
		return (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	case "mqtts":
		return (&tls.Dialer{Config: known}).DialContext(ctx, "tcp", u.Host)
	case "ws", "wss":
		dialer := websocket.Dialer{TLSClientConfig: known, Subprotocols: []string{protocol}}
		connection, response, err := dialer.DialContext(ctx, u.String(), nil)
		if response != nil {
			_ = response.Body.Close()
		}
		if err != nil {
			if response != nil {
				err = fmt.Errorf("%w (%s)", err, response.Status)
			}
			return nil, err
		}
		return wsstream.New(connection), nil
	default:
		return nil, fmt.Errorf("the scheme %q leads nowhere", u.Scheme)
	}
}
