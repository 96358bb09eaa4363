package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/search"
	"dlt645-mqtt/protocol"
)

// progressInterval is the shortest time between two messages about the same scan, unless a
// meter was found.
const progressInterval = time.Second

// mostToVary is how many protocols, speeds and parities a scan may be asked to try.
const mostToVary = 16

// ScanProgress is what bridge/scan says of a scan under way.
type ScanProgress struct {
	ID          json.RawMessage `json:"id,omitempty"`
	Time        string          `json:"time"`
	State       string          `json:"state"` // "searching", "done"
	Protocol    string          `json:"protocol"`
	Baud        int             `json:"baud"`
	Parity      string          `json:"parity"`
	Pattern     string          `json:"pattern"` // whose parts are being asked
	Asked       int             `json:"asked"`   // questions so far
	Left        int             `json:"left"`    // questions still to come, a guess
	RemainingMS int64           `json:"remaining_ms"`
	Meters      []search.Found  `json:"meters"`
	Heard       []search.Riddle `json:"heard,omitempty"` // where somebody has answered to a question about all meters
}

// Share is how much of the scan is done, 0 to 1, as far as can be guessed.
func (p ScanProgress) Share() float64 { return float64(p.Asked) / float64(max(1, p.Asked+p.Left)) }

// A finding is what a scan brought. Only the reply to a scan has it.
type finding struct {
	Meters  []search.Found  `json:"meters"`
	Sure    bool            `json:"sure"`
	Heard   []search.Riddle `json:"heard,omitempty"`   // what was understood and is none of the meters
	Stopped *problem        `json:"stopped,omitempty"` // why the scan ended early
}

// scanKeys is what a scan is asked for.
type scanKeys struct {
	roots  []search.Root
	meters int
}

// Scan carries out a scan without a broker and returns its reply; payload is the body of the
// request. It ends early with ctx. progress is called now and then, from another goroutine.
// The bus must be running.
func (b *Bridge) Scan(ctx context.Context, payload []byte, progress func(ScanProgress)) []byte {
	answer := make(chan []byte, 1)
	b.carryOut(&request{
		message:  message{topic: verbScan, payload: payload, received: time.Now()},
		verb:     verbScan,
		deliver:  func(m mqtt.Outgoing) { answer <- m.Payload },
		progress: func(p ScanProgress) bool { progress(p); return ctx.Err() == nil },
	})
	return <-answer
}

// scan answers the verb scan: it looks for the meters on the bus.
func (b *Bridge) scan(r *request, in *body) error {
	if r.target != "" {
		return problemf(CodeBadRequest, "a scan request goes to %s: it is about all meters", b.topics.join("request/scan"))
	}
	if err := b.permit(protocol.PermitRead); err != nil {
		return err
	}
	keys, err := b.scanKeys(r, in)
	if err != nil {
		return err
	}
	if r.expired() {
		return bus.ErrExpired
	}
	if !b.scanning.claim(time.Now()) {
		p := problemf(CodeBusy, "a scan is under way already; %s tells how far it is", b.topics.join(topicScan))
		p.RetryAfterMS = max(time.Until(b.scanning.load()), time.Second).Milliseconds()
		return p
	}
	b.later(func() {
		a, err := b.runScan(r, keys)
		b.scanning.clear() // whoever has the reply may scan again
		if err != nil {
			b.fail(r, err)
			return
		}
		b.send(r, a)
	})
	return nil
}

// scanKeys takes what a scan may say, and fills in what it does not.
func (b *Bridge) scanKeys(r *request, in *body) (keys scanKeys, err error) {
	if in.members == nil && in.text != "" {
		return keys, problemf(CodeBadRequest, `the body of a scan is empty or a JSON object, such as {"meters":8}`)
	}
	var protocols, parities []string
	var speeds []int
	var meters uint16
	for _, key := range []struct {
		name, want string
		value      any
	}{
		{"protocols", `an array of names, such as ["2007"]`, &protocols},
		{"speeds", "an array of speeds in bits per second, such as [2400,9600]", &speeds},
		{"parities", `an array of "even", "odd" and "none"`, &parities},
		{"meters", "a whole number from 1 to 65535: how many meters there are", &meters},
	} {
		given, err := in.decode(key.name, key.want, key.value)
		if err != nil {
			return keys, err
		}
		if given && key.name == "meters" && meters == 0 {
			return keys, problemf(CodeBadRequest, "%q must be %s", key.name, key.want)
		}
	}
	if err := in.nothingLeft(r); err != nil {
		return keys, err
	}
	for name, n := range map[string]int{"protocols": len(protocols), "speeds": len(speeds), "parities": len(parities)} {
		if n > mostToVary {
			return keys, problemf(CodeBadRequest, "%q has %d entries; at most %d are allowed", name, n, mostToVary)
		}
	}
	keys.meters = int(meters)
	finders, err := b.finders(protocols)
	if err != nil {
		return keys, err
	}
	keys.roots, err = b.scanRoots(finders, speeds, parities)
	return keys, err
}

// finders returns the protocols to search with; if none is named, all that can ask many addresses at once.
func (b *Bridge) finders(names []string) ([]protocol.Finder, error) {
	if len(b.config.Finders) == 0 {
		return nil, problemf(CodeUnsupported, "none of the protocols of this bridge can look for meters")
	}
	var known []string
	for _, p := range b.config.Protocols {
		if slices.ContainsFunc(b.config.Finders, func(f protocol.Finder) bool { return f.Name() == p.Name() }) {
			known = append(known, p.Name())
		}
	}
	if len(names) == 0 {
		for _, finder := range b.config.Finders {
			if question, err := finder.Find(""); err == nil && len(question.Steps) > 0 {
				names = append(names, finder.Name())
			}
		}
		if len(names) == 0 {
			return nil, problemf(CodeBadRequest, `each address of these protocols must be asked by itself, which takes long; name in "protocols" the one to look for: %s`, strings.Join(known, ", "))
		}
	}
	var finders []protocol.Finder
	for _, name := range names {
		i := slices.IndexFunc(b.config.Finders, func(f protocol.Finder) bool { return f.Name() == name })
		if i < 0 {
			i = slices.IndexFunc(b.config.Finders, func(f protocol.Finder) bool { return f.Family() == name })
		}
		if i < 0 {
			return nil, problemf(CodeBadRequest, "%q is no protocol that can be scanned for; there are %s", name, strings.Join(known, ", "))
		}
		if finder := b.config.Finders[i]; !slices.Contains(finders, finder) {
			finders = append(finders, finder)
		}
	}
	return finders, nil
}

// scanRoots returns where to search: each protocol at its usual modes, or at those that are asked for. It goes
// mode by mode, so that the line is set anew as seldom as possible.
func (b *Bridge) scanRoots(finders []protocol.Finder, speeds []int, parities []string) (roots []search.Root, err error) {
	own, tunable := b.bus.Mode()
	for _, speed := range speeds {
		if err := protocol.CheckBaud(speed); err != nil {
			return nil, problemf(CodeBadRequest, `"speeds": %v`, err)
		}
	}
	for _, parity := range parities {
		if err := protocol.CheckParity(parity); err != nil {
			return nil, problemf(CodeBadRequest, `"parities": %v`, err)
		}
	}
	if !tunable && (slices.ContainsFunc(speeds, func(speed int) bool { return speed != own.Baud }) || slices.ContainsFunc(parities, func(parity string) bool { return parity != own.Parity })) {
		return nil, problemf(CodeBadRequest, "speeds and parities can be varied on a serial line only, or behind a serial server by rfc2217://; behind this server or modem they are set there, and this bus is configured for %d baud, parity %s", own.Baud, own.Parity)
	}
	var order []protocol.Mode
	of := map[protocol.Mode][]protocol.Finder{}
	for _, finder := range finders {
		modes := []protocol.Mode{own}
		if tunable {
			modes = modesToTry(own, speeds, parities, finder)
		}
		for _, mode := range modes {
			if of[mode] == nil {
				order = append(order, mode)
			}
			of[mode] = append(of[mode], finder)
		}
	}
	for _, mode := range order {
		for _, finder := range of[mode] {
			roots = append(roots, search.Root{Finder: finder, Mode: mode})
		}
	}
	return roots, nil
}

// modesToTry combines speeds and parities. Where none are given it takes those that are usual for a protocol, and first
// the mode of the line. A parity further back counts for as much as two speeds.
func modesToTry(own protocol.Mode, speeds []int, parities []string, finder protocol.Finder) (modes []protocol.Mode) {
	usualSpeeds, usualParities := finder.UsualModes()
	if len(speeds) == 0 {
		speeds = usualSpeeds
		if !slices.Contains(speeds, own.Baud) {
			speeds = append([]int{own.Baud}, speeds...)
		}
	}
	if len(parities) == 0 {
		parities = usualParities
		if !slices.Contains(parities, own.Parity) {
			parities = append([]string{own.Parity}, parities...)
		}
	}
	for far := range len(speeds) + 2*len(parities) {
		for p, parity := range parities {
			s := far - 2*p
			if s < 0 || s >= len(speeds) {
				continue
			}
			mode := protocol.Mode{Baud: speeds[s], Parity: parity, Stop: own.Stop}
			switch {
			case slices.Contains(modes, mode):
			case mode == own:
				modes = append([]protocol.Mode{own}, modes...)
			default:
				modes = append(modes, mode)
			}
		}
	}
	return modes
}

// runScan searches the bus and tells how far it is. It returns the reply, or an error if nobody was
// asked.
func (b *Bridge) runScan(r *request, keys scanKeys) (*reply, error) {
	a := b.newReply(r)
	a.Bus = &effort{}
	started, watched := false, true
	s := search.Search{Wanted: keys.meters}
	s.Ask = func(mode protocol.Mode, step protocol.Step) (protocol.Address, error) {
		if !watched {
			return protocol.Address{}, problemf(CodeStopping, "the scan was interrupted")
		}
		step.Mode = mode
		report, err := b.bus.Submit(bus.Job{Steps: []protocol.Step{step}, Deadline: r.deadline, Continued: started})
		if err != nil {
			return protocol.Address{}, err
		}
		ended := <-report
		a.Bus.add(ended)
		reply := ended.Replies[0]
		started = started || reply.Started
		at, _ := s.Current()
		if r.trace && len(reply.Frames) > 1 {
			a.Frames = append(a.Frames, b.tracedFrames(at.Finder, reply.Frames)...)
		}
		if explain := step.First.Explain; explain != nil && errors.Is(reply.Err, protocol.ErrGarbled) {
			var received []byte
			for _, frame := range reply.Frames {
				if !frame.Sent {
					received = append(received, frame.Bytes...)
				}
			}
			s.Hear(mode, explain(received))
		}
		return reply.Result.Address, reply.Err
	}
	var told time.Time
	found := 0
	tell := func() {
		told, found = time.Now(), len(s.Found())
		watched = b.tell(r, progressOf(&s, "searching")) && watched
	}
	s.Noticed = tell
	s.Asked = func() {
		now := time.Now()
		b.scanning.store(now.Add(s.Remaining()))
		if len(s.Found()) > found || now.Sub(told) >= progressInterval {
			tell()
		}
	}
	sure, err := s.Run(keys.roots)
	if err != nil && !started {
		return nil, err
	}
	a.finding = &finding{Meters: s.Found(), Sure: sure, Heard: s.Riddles()}
	if err != nil {
		a.OK, a.Stopped = false, problemOf(err)
	}
	b.tell(r, progressOf(&s, "done"))
	return a, nil
}

// progressOf writes how far a search is.
func progressOf(s *search.Search, state string) ScanProgress {
	at, pattern := s.Current()
	p := ScanProgress{
		State: state, Protocol: at.Finder.Name(), Baud: at.Mode.Baud, Parity: at.Mode.Parity, Pattern: pattern,
		Asked: s.Questions(), Meters: s.Found(), Heard: s.Signals(),
	}
	if state == "searching" {
		p.Left, p.RemainingMS = s.Left(), s.Remaining().Milliseconds()
	}
	return p
}

// tell passes on how far a scan is, and returns whether to go on.
func (b *Bridge) tell(r *request, p ScanProgress) bool {
	p.Heard = b.sayRiddles(p.Heard)
	if r.progress != nil {
		return r.progress(p)
	}
	p.ID, p.Time = r.id, b.stamp(time.Now())
	if payload, err := encodeJSON(p); err == nil { // numbers and strings always encode
		ctx, cancel := context.WithTimeout(context.Background(), progressInterval)
		defer cancel()
		b.outbox.Pass(ctx, mqtt.Outgoing{Topic: b.topics.join(topicScan), Payload: payload, ContentType: mqtt.JSON})
	}
	return true
}
