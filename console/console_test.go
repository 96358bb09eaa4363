package console

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"dlt645-mqtt/wsstream"
)

// A testBroker takes connections and shows what comes and goes, byte for byte.
type testBroker struct {
	net.Listener
	accepted chan net.Conn
}

func newTestBroker(t *testing.T, wrap func(net.Listener) net.Listener) *testBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		l = wrap(l)
	}
	b := &testBroker{l, make(chan net.Conn, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if secure, ok := c.(*tls.Conn); ok {
				go func() { _ = secure.Handshake() }() // a stranger's fails, which is what is tested
			}
			b.accepted <- c
		}
	}()
	return b
}

// accept returns the next connection.
func (b *testBroker) accept(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-b.accepted:
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("nobody has connected to the broker")
		return nil
	}
}

// serve runs a console in front of a broker.
func serve(t *testing.T, broker string, change func(*Config)) (*Console, *httptest.Server) {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Brokers: []*url.URL{u}, Root: "dlt645", Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
		Items: func() any { return []string{"voltage_a"} },
		Words: func() any { return []string{"电压"} },
		Decode: func(hex, _ string) (any, error) {
			if hex == "" {
				return nil, errors.New("there is no frame")
			}
			return []string{hex}, nil
		},
	}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, server
}

// An answer is an HTTP response, read.
type answer struct {
	status int
	header http.Header
	body   string
	length int64 // as announced
}

// get asks for a path under some name of the host.
func get(t *testing.T, server *httptest.Server, path, host string, header http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	r.Header = header
	if r.Header == nil {
		r.Header = http.Header{}
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text), response.ContentLength}
}

// open opens the WebSocket as a page of some origin would; the status is that of the answer, 0 if none came.
func open(t *testing.T, server *httptest.Server, origin, host string) (c *websocket.Conn, status int, err error) {
	t.Helper()
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	if host != "" {
		header.Set("Host", host)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: 10 * time.Second}
	c, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/mqtt", header)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if response != nil {
		status = response.StatusCode
		response.Body.Close()
	}
	return c, status, err
}

// TestPage fetches the page and all that it asks for, and compares what it says of itself.
func TestPage(t *testing.T) {
	_, server := serve(t, "mqtt://127.0.0.1:1", func(c *Config) { c.Root = `a"><script>alert(1)</script>` })
	response := get(t, server, "/", "", nil)
	page := response.body
	if response.status != http.StatusOK || response.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, type %s", response.status, response.header.Get("Content-Type"))
	}
	if !strings.Contains(page, `content="1.2.3"`) || !strings.Contains(page, `content="a&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`) {
		t.Errorf("the page does not know root and version, or shows the root as markup:\n%s", page)
	}
	for path, mediaType := range map[string]string{
		"/console.js": "text/javascript; charset=utf-8", "/console.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml", "/licences.txt": "text/plain; charset=utf-8",
	} {
		if path != "/licences.txt" && !strings.Contains(page, `"`+path[1:]+`"`) {
			t.Errorf("the page does not ask for %s", path)
		}
		plain := get(t, server, path, "", http.Header{"Accept-Encoding": {"identity"}})
		whole := plain.body
		if plain.status != http.StatusOK || plain.header.Get("Content-Type") != mediaType || plain.length != int64(len(whole)) {
			t.Errorf("%s: status %d, type %s, length %d of %d", path, plain.status, plain.header.Get("Content-Type"), plain.length, len(whole))
		}
		zipped := get(t, server, path, "", http.Header{"Accept-Encoding": {"gzip, br"}})
		z, err := gzip.NewReader(strings.NewReader(zipped.body))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if unzipped, err := io.ReadAll(z); err != nil || string(unzipped) != whole {
			t.Errorf("%s: compressed it is something else, %v", path, err)
		}
		if again := get(t, server, path, "", http.Header{"If-None-Match": {plain.header.Get("ETag")}}); again.status != http.StatusNotModified {
			t.Errorf("%s: asked for again: %d", path, again.status)
		}
	}
	for accepted, compressed := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "identity, gzip; q=0.0": false, "xgzip": false, "br": false, "": false} {
		if response := get(t, server, "/icon.svg", "", http.Header{"Accept-Encoding": {accepted}}); (response.header.Get("Content-Encoding") == "gzip") != compressed {
			t.Errorf("to who accepts %q it comes as %q", accepted, response.header.Get("Content-Encoding"))
		}
	}
	if response := get(t, server, "/no-such", "", nil); response.status != http.StatusNotFound {
		t.Errorf("/no-such: %d", response.status)
	}
}

// TestPageIsSmall adds up what a browser loads.
func TestPageIsSmall(t *testing.T) {
	files, err := readPage("dlt645", "1.2.3", false)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, f := range files {
		sum += len(f.zipped)
	}
	if const200kB := 200_000; sum > const200kB {
		t.Errorf("the page has %d bytes compressed, more than %d", sum, const200kB)
	}
}

// TestPageKeepsToItself looks at the headers of every answer: no script but our own files, no frame
// around the page, no other host.
func TestPageKeepsToItself(t *testing.T) {
	_, server := serve(t, "mqtt://127.0.0.1:1", nil)
	for _, path := range []string{"/", "/console.js", "/items.json", "/decode?hex=68", "/decode", "/mqtt", "/no-such"} {
		response := get(t, server, path, "", nil)
		csp := response.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy %q lacks %s", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") {
			t.Errorf("%s: the policy has exceptions: %s", path, csp)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := response.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	script, err := os.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(script, []byte("://")) || bytes.Contains(script, []byte("onload")) || bytes.Contains(script, []byte("<style")) {
		t.Errorf("the page's markup asks another host, or has something inline:\n%s", script)
	}
}

// TestIngress asks as Home Assistant does for its user: by any name, for a frame of its own, and with the account that is handed
// to the page.
func TestIngress(t *testing.T) {
	_, server := serve(t, "mqtt://127.0.0.1:1", func(c *Config) {
		c.Ingress, c.Account = true, &Account{User: "addons", Password: `pass"word`}
	})
	page := get(t, server, "/", "home.example.com", nil)
	if page.status != http.StatusOK || !strings.Contains(page.body, `name="dlt645-account" content="given"`) {
		t.Errorf("the page: %d %s", page.status, page.body)
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'self';") || page.header.Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Errorf("Home Assistant may not show it in a frame: %s, %s", csp, page.header.Get("X-Frame-Options"))
	}
	for _, path := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		if strings.HasPrefix(path[1], "/") {
			t.Errorf("%s leads out of the path that Home Assistant gives to the page", path[1])
		}
	}
	account := get(t, server, "/account.json", "home.example.com", nil)
	if account.body != `{"user":"addons","password":"pass\"word"}`+"\n" || account.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the account: %d %s, %s", account.status, account.body, account.header.Get("Cache-Control"))
	}
	if _, status, _ := open(t, server, "https://evil.example.com", "home.example.com"); status != http.StatusForbidden {
		t.Errorf("a page of another origin reaches the broker: %d", status)
	}
	_, server = serve(t, "mqtt://127.0.0.1:1", nil)
	if account := get(t, server, "/account.json", "", nil); account.status != http.StatusNotFound {
		t.Errorf("an account is handed to anybody: %d %s", account.status, account.body)
	}
}

// TestBytesPassUnchanged sends bytes of every kind both ways, in messages cut anywhere, over each kind
// of way to a broker.
func TestBytesPassUnchanged(t *testing.T) {
	certificate := httptest.NewTLSServer(nil)
	defer certificate.Close()
	trust := certificate.Client().Transport.(*http.Transport).TLSClientConfig
	secure := func(l net.Listener) net.Listener { return tls.NewListener(l, certificate.TLS) }
	// What a broker that speaks WebSocket does with the bytes.
	var upgrader websocket.Upgrader
	upgrader.Subprotocols = []string{"mqtt"}
	taken := make(chan net.Conn, 1)
	overWebSocket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		taken <- wsstream.New(c)
	}))
	defer overWebSocket.Close()
	for name, dial := range map[string]func() (string, func(*testing.T) net.Conn){
		"mqtt": func() (string, func(*testing.T) net.Conn) {
			b := newTestBroker(t, nil)
			return "mqtt://" + b.Addr().String(), b.accept
		},
		"mqtts": func() (string, func(*testing.T) net.Conn) {
			b := newTestBroker(t, secure)
			return "mqtts://" + b.Addr().String(), b.accept
		},
		"ws": func() (string, func(*testing.T) net.Conn) {
			return "ws" + strings.TrimPrefix(overWebSocket.URL, "http") + "/mqtt", func(*testing.T) net.Conn { return <-taken }
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, take := dial()
			_, server := serve(t, address, func(c *Config) { c.TLS = trust })
			browser, _, err := open(t, server, server.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			if browser.Subprotocol() != "mqtt" {
				t.Errorf("subprotocol %q", browser.Subprotocol())
			}
			sent := make([]byte, 100_000)
			for i := range sent {
				sent[i] = byte(i * 7 >> 3)
			}
			go func() {
				for rest := sent; len(rest) > 0; {
					n := min(len(rest), 1+len(rest)/3)
					if browser.WriteMessage(websocket.BinaryMessage, rest[:n]) != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			broker := take(t)
			defer broker.Close()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(broker, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("the broker got something else, %v", err)
			}
			go func() { _, _ = broker.Write(sent) }()
			var back bytes.Buffer
			for back.Len() < len(sent) {
				kind, message, err := browser.ReadMessage()
				if err != nil || kind != websocket.BinaryMessage {
					t.Fatalf("kind %d, %v after %d bytes", kind, err, back.Len())
				}
				back.Write(message)
			}
			if !bytes.Equal(back.Bytes(), sent) {
				t.Error("the browser got something else")
			}
			// The end of one side is the end of the other.
			broker.Close()
			if _, _, err := browser.ReadMessage(); err == nil {
				t.Error("the browser is not told that the broker has gone")
			}
		})
	}
}

// TestForeignPagesReachNoBroker opens the WebSocket as pages of other origins would, and as ours does.
func TestForeignPagesReachNoBroker(t *testing.T) {
	broker := newTestBroker(t, nil)
	_, server := serve(t, "mqtt://"+broker.Addr().String(), nil)
	host := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := net.SplitHostPort(host)
	for _, origin := range []string{
		"http://evil.example", "https://evil.example:" + port, "null", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:" + port, "http://" + host + ".evil.example",
		"http://evil.example/" + host, "file://", "chrome-extension://abcdef", "http://" + host + "@evil.example", "//" + host, "http:///", "x",
	} {
		c, status, err := open(t, server, origin, "")
		if err == nil {
			c.Close()
			t.Errorf("a page of %s was let in", origin)
			continue
		}
		if status != http.StatusForbidden {
			t.Errorf("%s: status %d, %v", origin, status, err)
		}
	}
	if len(broker.accepted) > 0 {
		t.Error("the broker was called for a page of another origin")
	}
	for _, origin := range []string{server.URL, "https://" + host, ""} { // a proxy may add TLS; programs have no origin
		if _, _, err := open(t, server, origin, ""); err != nil {
			t.Errorf("our own page (%s) was refused: %v", origin, err)
		}
	}
	// Two of them are no origin at all.
	response := get(t, server, "/mqtt", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Origin": {server.URL, "http://evil.example"}})
	if response.status != http.StatusForbidden {
		t.Errorf("two origins: %d", response.status)
	}
}

// TestRebinding asks for every path by names that a stranger could have given this machine, with the
// origin that his page would have then.
func TestRebinding(t *testing.T) {
	broker := newTestBroker(t, nil)
	_, server := serve(t, "mqtt://"+broker.Addr().String(), func(c *Config) { c.Hosts = []string{"meters.example.com"} })
	for _, host := range []string{"evil.example", "evil.example:9645", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example.", "local.evil.example:80", "meters.example.com.evil.example", "."} {
		for _, path := range []string{"/", "/console.js", "/items.json", "/decode?hex=68", "/mqtt"} {
			if response := get(t, server, path, host, nil); response.status != http.StatusMisdirectedRequest {
				t.Errorf("%s of %s: %d", path, host, response.status)
			}
		}
		if c, status, err := open(t, server, "http://"+host, host); err == nil {
			c.Close()
			t.Errorf("a page of %s was let in", host)
		} else if status != http.StatusMisdirectedRequest {
			t.Errorf("%s: status %d, %v", host, status, err)
		}
	}
	if len(broker.accepted) > 0 {
		t.Error("the broker was called by a stranger's name")
	}
	for _, host := range []string{"127.0.0.1", "192.168.1.5:9645", "[::1]:9645", "[fe80::1]", "localhost:9645", "the-pi:9645", "the-pi.local", "PI.LAN:9645", "pi.home.arpa", "meters.example.com", "Meters.Example.Com:443"} {
		if response := get(t, server, "/", host, nil); response.status != http.StatusOK {
			t.Errorf("%s: %d", host, response.status)
		}
	}
	if _, _, err := open(t, server, "https://meters.example.com", "meters.example.com"); err != nil {
		t.Errorf("behind a reverse proxy: %v", err)
	}
}

// TestNoMoreThanSoManyPages opens one WebSocket after the other.
func TestNoMoreThanSoManyPages(t *testing.T) {
	broker := newTestBroker(t, nil)
	c, server := serve(t, "mqtt://"+broker.Addr().String(), nil)
	var first *websocket.Conn
	for i := range mostSockets {
		browser, _, err := open(t, server, server.URL, "")
		if err != nil {
			t.Fatalf("page %d: %v", i+1, err)
		}
		if first == nil {
			first = browser
		}
	}
	for range 3 {
		_, status, err := open(t, server, server.URL, "")
		if err == nil || status != http.StatusServiceUnavailable {
			t.Fatalf("one page more than there may be: status %d, %v", status, err)
		}
	}
	first.Close()
	select {
	case c.places <- struct{}{}:
		<-c.places
	case <-time.After(10 * time.Second):
		t.Fatal("the place of a page that has gone is not free again")
	}
	if _, _, err := open(t, server, server.URL, ""); err != nil {
		t.Errorf("in place of a page that has gone: %v", err)
	}
}

// TestMessageTooLong sends a message of just the length that is allowed, one that is longer, and text.
func TestMessageTooLong(t *testing.T) {
	broker := newTestBroker(t, nil)
	_, server := serve(t, "mqtt://"+broker.Addr().String(), nil)
	for name, try := range map[string]struct {
		kind, length int
		passes       bool
		code         int
	}{
		"as long as may be": {websocket.BinaryMessage, mostMessage, true, 0},
		"longer":            {websocket.BinaryMessage, mostMessage + 1, false, websocket.CloseMessageTooBig},
		"text":              {websocket.TextMessage, 10, false, websocket.CloseUnsupportedData},
	} {
		t.Run(name, func(t *testing.T) {
			browser, _, err := open(t, server, server.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			connection := broker.accept(t)
			got := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(io.Discard, io.LimitReader(connection, int64(try.length)))
				got <- n
			}()
			if err := browser.WriteMessage(try.kind, bytes.Repeat([]byte("x"), try.length)); err != nil && try.passes {
				t.Fatal(err)
			}
			if try.passes {
				if n := <-got; n != mostMessage {
					t.Errorf("%d bytes came", n)
				}
				return
			}
			_, _, err = browser.ReadMessage()
			var closed *websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != try.code {
				t.Errorf("%v, want code %d", err, try.code)
			}
			if n := <-got; n >= int64(try.length) {
				t.Error("it came through whole")
			}
		})
	}
}

// TestBrokerOutOfReach finds no broker, and one that is not who it should be: nothing is sent to that.
func TestBrokerOutOfReach(t *testing.T) {
	stranger := httptest.NewTLSServer(nil)
	defer stranger.Close()
	secured := newTestBroker(t, func(l net.Listener) net.Listener { return tls.NewListener(l, stranger.TLS) })
	plain := newTestBroker(t, nil)
	go func() {
		c := <-plain.accepted
		_, _ = c.Write([]byte("I speak no TLS\n"))
		c.Close()
	}()
	for name, address := range map[string]string{
		"nobody": "mqtt://127.0.0.1:1", "a certificate of another authority": "mqtts://" + secured.Addr().String(),
		"no TLS where there should be": "mqtts://" + plain.Addr().String(), "no WebSocket": "ws" + strings.TrimPrefix(stranger.URL, "https") + "/",
	} {
		t.Run(name, func(t *testing.T) {
			_, server := serve(t, address, func(c *Config) { c.TLS = &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12} })
			_, status, err := open(t, server, server.URL, "")
			if err == nil || status != http.StatusBadGateway {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
}

// TestPageIsNotTheBridge connects to a broker that asks for a certificate: the bridge's is not shown.
func TestPageIsNotTheBridge(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	settings := server.TLS.Clone()
	settings.ClientAuth = tls.RequestClientCert
	broker := newTestBroker(t, func(l net.Listener) net.Listener { return tls.NewListener(l, settings) })
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.Certificates = server.TLS.Certificates // as if it were the bridge's own
	asked := false
	trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &server.TLS.Certificates[0], nil
	}
	_, console := serve(t, "mqtts://"+broker.Addr().String(), func(c *Config) { c.TLS = trust })
	if _, _, err := open(t, console, console.URL, ""); err != nil {
		t.Fatal(err)
	}
	connection := broker.accept(t).(*tls.Conn)
	if err := connection.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(connection.ConnectionState().PeerCertificates); n > 0 || asked {
		t.Errorf("the page has shown %d certificates of the bridge", n)
	}
	if len(trust.Certificates) == 0 {
		t.Error("the bridge has lost its certificate")
	}
}

// TestSocketsEndWithTheServer closes the server under an open page.
func TestSocketsEndWithTheServer(t *testing.T) {
	broker := newTestBroker(t, nil)
	c, _ := serve(t, "mqtt://"+broker.Addr().String(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(c)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	defer server.Close()
	browser, _, err := open(t, server, server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	connection := broker.accept(t)
	cancel()
	if _, _, err := browser.ReadMessage(); err == nil {
		t.Error("the page is still connected")
	}
	if _, err := connection.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the broker is still connected: %v", err)
	}
}

// TestFunctions asks for the dictionary and has frames explained.
func TestFunctions(t *testing.T) {
	_, server := serve(t, "mqtt://127.0.0.1:1", nil)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/items.json":       {200, `["voltage_a"]`},
		"/decode?hex=68+01": {200, `["68 01"]`},
		"/decode":           {400, `{"error":"there is no frame"}`},
		"/decode?hex=" + strings.Repeat("6", mostHex+1): {400, fmt.Sprintf(`{"error":"%d characters; at most %d are explained at once"}`, mostHex+1, mostHex)},
	} {
		response := get(t, server, path, "", nil)
		text := strings.TrimSpace(response.body)
		if response.status != want.status || text != want.body || response.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(text)) {
			t.Errorf("%.40s: %d %s %s", path, response.status, response.header.Get("Content-Type"), text)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/decode", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
}

// TestSilentPagesAreClosed opens pages that say nothing, stop speaking, or stop within a message: none of them
// keeps its place.
func TestSilentPagesAreClosed(t *testing.T) {
	for name, speak := range map[string]func(*websocket.Conn){
		"never speaks":   func(*websocket.Conn) {},
		"stops speaking": func(c *websocket.Conn) { _ = c.WriteMessage(websocket.BinaryMessage, []byte("x")) },
		"stops within a message": func(c *websocket.Conn) {
			if w, err := c.NextWriter(websocket.BinaryMessage); err == nil {
				_, _ = w.Write(make([]byte, 5000)) // some of which goes out
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := newTestBroker(t, nil)
			c, server := serve(t, "mqtt://"+broker.Addr().String(), nil)
			c.patience = patience{100 * time.Millisecond, 200 * time.Millisecond}
			browser, _, err := open(t, server, server.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			connection := broker.accept(t)
			go speak(browser)
			if _, err := io.Copy(io.Discard, connection); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it is still connected: %v", err)
			}
		})
	}
}
