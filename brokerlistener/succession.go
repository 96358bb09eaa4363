package brokerlistener

import (
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// successionTakes is the longest that a client waits for the end of the one before. It is over within a moment, unless that
// ended in the middle of being let in, of which the library tells nobody.
const successionTakes = 5 * time.Second

// succession lets a client in once the broker has done with the one before of the same id. The library does away with the
// subscriptions of the old one while it takes in those of the new one, and who loses leaves it deaf.
type succession struct {
	mqtt.HookBase
	server *mqtt.Server
	mu     sync.Mutex
	ends   map[*mqtt.Client]*end
}

// An end is that of a client.
type end struct {
	over    chan struct{} // closed when it has come
	forgets bool          // its session goes with it
}

func (*succession) ID() string { return "succession" }

// Provides says of which events the hook is told.
func (*succession) Provides(event byte) bool {
	return event == mqtt.OnSessionEstablish || event == mqtt.OnDisconnect || event == mqtt.OnClientExpired
}

// OnSessionEstablish comes before the library looks for an older client of the same id.
func (s *succession) OnSessionEstablish(client *mqtt.Client, _ packets.Packet) {
	if old, there := s.server.Clients.Get(client.ID); there && !old.Net.Inline {
		if !old.Closed() {
			_ = s.server.DisconnectClient(old, packets.ErrSessionTakenOver)
		}
		s.await(old)
		s.OnClientExpired(old)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[client] = &end{over: make(chan struct{})}
}

// await waits until the broker has done with a client.
func (s *succession) await(old *mqtt.Client) {
	s.mu.Lock()
	e := s.ends[old]
	s.mu.Unlock()
	late := time.After(successionTakes)
	if e != nil {
		select {
		case <-e.over:
		case <-late:
			return
		}
		if !e.forgets {
			return // the session is for the new one
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if now, there := s.server.Clients.Get(old.ID); !there || now != old {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}

// OnDisconnect comes before the library does away with what it has of a client.
func (s *succession) OnDisconnect(client *mqtt.Client, _ error, expire bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.ends[client]; e != nil {
		e.forgets = expire
		close(e.over)
	}
	if expire {
		delete(s.ends, client)
	}
}

// OnClientExpired comes when a session has lasted long enough without its client.
func (s *succession) OnClientExpired(client *mqtt.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, client)
}
