package console

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// Config is what a console must know.
type Config struct {
	Brokers []*url.URL  // mqtt, mqtts, ws or wss, with a port; tried in order
	TLS     *tls.Config // how to know the broker; the client certificates in it are not used
	Root    string      // of the topics of this bridge
	Version string
	// Hosts are names by which browsers reach this machine, besides those that are always taken: IP
	// addresses, names without a dot, this machine's own name, and names that public DNS does not have
	// (localhost, .local, .lan, .home.arpa, .internal). A page of a stranger whose name leads here has
	// another one.
	Hosts []string
	// Ingress says that every request comes from Home Assistant, which has let in its user, knows its own name,
	// and shows the page in a frame of its own page.
	Ingress bool
	// Account is optional: it is handed to every page, which signs in with it at the broker. Whoever reaches the console has
	// its rights then, so it is for those only whom somebody else has let in.
	Account *Account
	Items   func() any                              // the dictionary, to be shown as JSON; called once
	Words   func() any                              // what else its items are called, likewise
	Decode  func(hex, protocol string) (any, error) // explains frames, as JSON; an empty protocol: what they say of themselves
	Log     *slog.Logger
}

// An Account is one at the broker.
type Account struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// A Console serves the page. It is an http.Handler.
type Console struct {
	config   Config
	own      string // this machine's name, in lower case
	mux      *http.ServeMux
	places   chan struct{} // has one element for each WebSocket
	patience patience
	mu       sync.Mutex
	reported map[string]time.Time // when a kind of refusal was logged last
}

// New returns a console. The page that it serves is part of the binary.
func New(config Config) (*Console, error) {
	c := &Console{config: config, mux: http.NewServeMux(), places: make(chan struct{}, mostSockets), patience: usual, reported: map[string]time.Time{}}
	if name, err := os.Hostname(); err == nil {
		c.own = strings.ToLower(name)
	}
	files, err := readPage(config.Root, config.Version, config.Account != nil)
	if err != nil {
		return nil, fmt.Errorf("the console's page: %w", err)
	}
	for path, f := range files {
		c.mux.Handle("GET "+path, f)
	}
	for path, table := range map[string]func() any{"/items.json": config.Items, "/words.json": config.Words} {
		tables := sync.OnceValue(func() *file {
			text, err := json.Marshal(table())
			if err != nil {
				panic(err) // tables of strings
			}
			return newFile("application/json", text)
		})
		c.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { tables().ServeHTTP(w, r) })
	}
	c.mux.HandleFunc("GET /decode", c.decode)
	if config.Account != nil {
		c.mux.HandleFunc("GET /account.json", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, config.Account) })
	}
	c.mux.HandleFunc("GET /mqtt", c.carry)
	return c, nil
}

// policy lets the page load its own files and speak to where it came from, and nothing else:
// no inline script or style, no frame, no form, no markup made of strings.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// slowest is how long the page may take on its way to a browser: 200 kB at 2 kB/s.
const slowest = 100 * time.Second

// ServeHTTP answers those who ask for this machine by one of its names.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	frames, ancestors := "DENY", policy
	if c.config.Ingress {
		frames, ancestors = "SAMEORIGIN", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1)
	}
	for name, value := range map[string]string{
		"Content-Security-Policy":      ancestors,
		"X-Frame-Options":              frames,
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
	} {
		w.Header().Set(name, value)
	}
	if !c.config.Ingress && !c.known(r.Host) {
		c.refuse(w, r, http.StatusMisdirectedRequest, "another name", fmt.Sprintf(
			"This is a console of dlt645-mqtt, and %q is none of its names. Ask for it by its IP address, or add the name to DLT645_CONSOLE_HOSTS.", hostname(r.Host)))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slowest)) // not every ResponseWriter has one
	c.mux.ServeHTTP(w, r)
}

// refuse answers with a sentence, and logs it, at most once a minute for each kind.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, status int, kind, sentence string) {
	c.mu.Lock()
	now := time.Now()
	again := now.Sub(c.reported[kind]) < time.Minute
	if !again {
		c.reported[kind] = now
	}
	c.mu.Unlock()
	if !again {
		c.config.Log.Warn("the console has refused a browser", "why", sentence, "from", r.RemoteAddr, "path", r.URL.Path, "origin", r.Header.Get("Origin"))
	}
	http.Error(w, sentence, status)
}

// mostHex bounds what is to be decoded at once.
const mostHex = 4096

// decode explains the frames of the parameter hex, of the protocol of another one where they do not tell it.
func (c *Console) decode(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, any(nil)
	hex := r.URL.Query().Get("hex")
	var err error
	if len(hex) > mostHex {
		err = fmt.Errorf("%d characters; at most %d are explained at once", len(hex), mostHex)
	} else {
		answer, err = c.config.Decode(hex, r.URL.Query().Get("protocol"))
	}
	if err != nil {
		status, answer = http.StatusBadRequest, map[string]string{"error": err.Error()}
	}
	answerJSON(w, status, answer)
}

// answerJSON answers with what no browser may keep.
func answerJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
