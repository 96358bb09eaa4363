package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var homeAssistantRoots = flag.String("home-assistant", "", "folders with a Debian that has Home Assistant each, as test/homeassistant/setup makes them; separated by commas, the oldest version first")

// homeAssistantPatience bounds the waits for Home Assistant, which takes half a minute to start on a small machine.
const homeAssistantPatience = time.Minute

// A homeAssistant is a real Home Assistant in a Debian of its own, under a test's control.
type homeAssistant struct {
	t       *testing.T
	root    string // of its Debian
	config  string // its configuration, as seen in there
	address string
	version string // such as 2026.11.0
	token   string
	command *exec.Cmd
	ended   chan struct{}

	socket *websocket.Conn
	number int // of the last message to it
	states map[string]entityState
	ids    map[string]string // of entities, by their unique ids
}

// An entityState is the state of an entity.
type entityState struct {
	ID         string         `json:"entity_id"`
	State      string         `json:"state"`
	Attributes map[string]any `json:"attributes"`
}

// startHomeAssistant starts a new Home Assistant, as it is after its owner has entered a name
// and a password, and the broker.
func startHomeAssistant(t *testing.T, inside, broker, language string) *homeAssistant {
	t.Helper()
	outside, err := os.MkdirTemp(filepath.Join(inside, "tmp"), "config-") //nolint:usetesting // in there it sees nothing else
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(outside) })
	h := &homeAssistant{t: t, root: inside, config: strings.TrimPrefix(outside, inside), address: freeAddress(t), ids: map[string]string{}}
	_, port, err := net.SplitHostPort(h.address)
	if err != nil {
		t.Fatal(err)
	}
	configuration := fmt.Sprintf("http:\n  server_host: 127.0.0.1\n  server_port: %s\nhistory:\nenergy:\nlogger:\n  default: warning\n", port) +
		"  logs:\n    haffmpeg: fatal\n    homeassistant.components.camera: fatal\n" // which miss programs that nobody needs here
	writeFile(t, filepath.Join(outside, "configuration.yaml"), configuration)
	h.start()
	t.Cleanup(h.stop)
	h.onboard(language)
	h.connect()
	h.keepAddress()
	var about struct{ Version string }
	h.call(http.MethodGet, "/api/config", nil, &about)
	h.version = about.Version
	h.addBroker(broker)
	return h
}

// start starts it and waits until it answers.
func (h *homeAssistant) start() {
	h.t.Helper()
	h.command = exec.Command("chroot", h.root, "/venv/bin/python3", "-m", "homeassistant", "--config", h.config, "--skip-pip")
	h.command.Env = []string{"PATH=/venv/bin:/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	var output bytes.Buffer
	h.command.Stdout, h.command.Stderr = &output, &output
	if err := h.command.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func() { _ = h.command.Wait(); close(h.ended) }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(homeAssistantPatience)
	for {
		if status, _ := h.try(http.MethodGet, "/manifest.json", nil); status == http.StatusOK {
			break
		}
		select {
		case <-h.ended:
			h.t.Fatalf("Home Assistant ended: %s", &output)
		case <-timeout:
			h.t.Fatalf("Home Assistant does not answer; its log: %s", h.log())
		case <-ticker.C:
		}
	}
	if h.token != "" {
		h.connect()
	}
}

// stop ends it as its service would.
func (h *homeAssistant) stop() {
	h.t.Helper()
	if h.socket != nil {
		_ = h.socket.Close()
		h.socket = nil
	}
	_ = h.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.ended:
	case <-time.After(homeAssistantPatience):
		h.t.Error("Home Assistant does not stop")
		_ = h.command.Process.Kill()
	}
}

// log is what it has logged.
func (h *homeAssistant) log() string {
	text, _ := os.ReadFile(filepath.Join(h.root, h.config, "home-assistant.log"))
	return string(text)
}

// try calls its REST interface.
func (h *homeAssistant) try(method, path string, body any) (status int, answer []byte) {
	h.t.Helper()
	var payload io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case url.Values:
		payload, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), homeAssistantPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+h.address+path, payload)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	if h.token != "" {
		request.Header.Set("Authorization", "Bearer "+h.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, answer
}

// call calls its REST interface, which must succeed.
func (h *homeAssistant) call(method, path string, body, into any) {
	h.t.Helper()
	status, answer := h.try(method, path, body)
	if status != http.StatusOK {
		h.t.Fatalf("%s %s: status %d: %s; log: %s", method, path, status, answer, h.log())
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			h.t.Fatalf("%s %s: %s: %v", method, path, answer, err)
		}
	}
}

// onboard does what the first pages of the browser do.
func (h *homeAssistant) onboard(language string) {
	h.t.Helper()
	client := "http://" + h.address + "/"
	var user struct {
		Code string `json:"auth_code"`
	}
	h.call(http.MethodPost, "/api/onboarding/users", map[string]string{
		"client_id": client, "name": "Owner", "username": "owner", "password": "owner-of-this-test", "language": language,
	}, &user)
	var tokens struct {
		Access string `json:"access_token"`
	}
	h.call(http.MethodPost, "/auth/token", url.Values{"grant_type": {"authorization_code"}, "code": {user.Code}, "client_id": {client}}, &tokens)
	h.token = tokens.Access
}

// addBroker adds the MQTT integration, as the page Devices & services does.
func (h *homeAssistant) addBroker(address string) {
	h.t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		h.t.Fatal(err)
	}
	var flow struct {
		ID     string `json:"flow_id"`
		Type   string
		Step   string `json:"step_id"`
		Errors map[string]string
		Fields []struct{ Name string } `json:"data_schema"`
	}
	h.call(http.MethodPost, "/api/config/config_entries/flow", map[string]any{"handler": "mqtt"}, &flow)
	form := map[string]any{"broker": host, "port": json.Number(port)}
	for _, field := range flow.Fields {
		if field.Name == "other_settings" { // those that the page has folded up
			form["protocol"] = "5"
			form["other_settings"] = map[string]any{"set_client_cert": false, "set_ca_cert": "off", "transport": "tcp"}
		}
	}
	h.call(http.MethodPost, "/api/config/config_entries/flow/"+flow.ID, form, &flow)
	if flow.Type != "create_entry" {
		h.t.Fatalf("the broker is not taken: %+v; log: %s", flow, h.log())
	}
}

// keepAddress says that it can be reached where its configuration says. Newer versions go back to another
// address some minutes after their first start if nobody says so.
func (h *homeAssistant) keepAddress() {
	h.t.Helper()
	var kept struct{ Pending json.RawMessage }
	if m := h.request(map[string]any{"type": "http/config"}); m.Success && json.Unmarshal(m.Result, &kept) == nil && len(kept.Pending) > 4 { // not null
		h.ask(map[string]any{"type": "http/config/promote"}, nil)
	}
}

// connect opens its websocket and asks for all states and their changes.
func (h *homeAssistant) connect() {
	h.t.Helper()
	socket, _, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/api/websocket", nil) //nolint:bodyclose // the library says that it needs no closing
	if err != nil {
		h.t.Fatal(err)
	}
	h.socket, h.number = socket, 0
	var greeting struct{ Type string }
	h.read(&greeting) // auth_required
	h.write(map[string]any{"type": "auth", "access_token": h.token})
	if h.read(&greeting); greeting.Type != "auth_ok" {
		h.t.Fatalf("the token is not taken: %+v", greeting)
	}
	h.states = map[string]entityState{}
	h.ask(map[string]any{"type": "subscribe_events", "event_type": "state_changed"}, nil)
	var states []entityState
	h.ask(map[string]any{"type": "get_states"}, &states)
	for _, s := range states {
		h.states[s.ID] = s
	}
}

func (h *homeAssistant) write(message map[string]any) {
	h.t.Helper()
	if err := h.socket.WriteJSON(message); err != nil {
		h.t.Fatal(err)
	}
}

func (h *homeAssistant) read(into any) {
	h.t.Helper()
	if err := h.socket.SetReadDeadline(time.Now().Add(homeAssistantPatience)); err != nil {
		h.t.Fatal(err)
	}
	if err := h.socket.ReadJSON(into); err != nil {
		h.t.Fatalf("Home Assistant says no more: %v; the states: %v; log: %s", err, h.states, h.log())
	}
}

// A socketMessage is what comes by the websocket: results, and changes of states.
type socketMessage struct {
	ID      int
	Type    string
	Success bool
	Result  json.RawMessage
	Error   json.RawMessage
	Event   struct {
		Data struct {
			ID  string       `json:"entity_id"`
			New *entityState `json:"new_state"`
		}
	}
}

// hear reads one message, and takes in the change of a state.
func (h *homeAssistant) hear() socketMessage {
	h.t.Helper()
	var m socketMessage
	h.read(&m)
	if m.Type == "event" {
		if m.Event.Data.New == nil {
			delete(h.states, m.Event.Data.ID)
		} else {
			h.states[m.Event.Data.ID] = *m.Event.Data.New
		}
	}
	return m
}

// request sends a message and returns the result.
func (h *homeAssistant) request(message map[string]any) socketMessage {
	h.t.Helper()
	h.number++
	message["id"] = h.number
	h.write(message)
	for {
		if m := h.hear(); m.Type == "result" && m.ID == h.number {
			return m
		}
	}
}

// ask sends a message, which must succeed, and takes the result in.
func (h *homeAssistant) ask(message map[string]any, into any) {
	h.t.Helper()
	m := h.request(message)
	if !m.Success {
		h.t.Fatalf("%v: %s; log: %s", message, m.Error, h.log())
	}
	if into != nil {
		if err := json.Unmarshal(m.Result, into); err != nil {
			h.t.Fatal(err)
		}
	}
}

// A registeredEntity is what is known of an entity beside its state.
type registeredEntity struct {
	ID       string  `json:"entity_id"`
	Unique   string  `json:"unique_id"`
	Category *string `json:"entity_category"`
	Disabled *string `json:"disabled_by"`
}

// registry lists the entities by their unique ids.
func (h *homeAssistant) registry() map[string]registeredEntity {
	h.t.Helper()
	var list []registeredEntity
	h.ask(map[string]any{"type": "config/entity_registry/list"}, &list)
	entities := map[string]registeredEntity{}
	for _, e := range list {
		entities[e.Unique] = e
	}
	return entities
}

// id returns the id of the entity that has a unique id, once it is there. Older versions make it of names.
func (h *homeAssistant) id(unique string) string {
	h.t.Helper()
	if h.ids[unique] == "" {
		h.until("an entity "+unique, func() bool {
			h.ids[unique] = h.registry()[unique].ID
			return h.ids[unique] != ""
		})
	}
	return h.ids[unique]
}

// until listens until a condition holds.
func (h *homeAssistant) until(what string, holds func() bool) {
	h.t.Helper()
	timeout := time.Now().Add(homeAssistantPatience)
	for !holds() {
		if time.Now().After(timeout) {
			h.t.Fatalf("%s did not come about; the states: %v; log: %s", what, h.states, h.log())
		}
		h.hear()
	}
}

// is reports whether an entity has a state; "*" stands for any but unknown and unavailable.
func (h *homeAssistant) is(entity, state string) bool {
	s, ok := h.states[entity]
	return ok && (s.State == state || state == "*" && s.State != "unknown" && s.State != "unavailable")
}

// await waits until an entity has a state, and returns it.
func (h *homeAssistant) await(entity, state string) entityState {
	h.t.Helper()
	h.until(entity+" "+state, func() bool { return h.is(entity, state) })
	return h.states[entity]
}

// awaitNone waits until an entity is there no more.
func (h *homeAssistant) awaitNone(entity string) {
	h.t.Helper()
	h.until("the end of "+entity, func() bool { _, ok := h.states[entity]; return !ok })
}

// attribute returns an attribute of an entity as text.
func (h *homeAssistant) attribute(entity, name string) string {
	return fmt.Sprint(h.states[entity].Attributes[name])
}

// press calls a service of an entity, such as turn_on.
func (h *homeAssistant) press(service, entity string) {
	h.t.Helper()
	domain, _, _ := strings.Cut(entity, ".")
	h.ask(map[string]any{"type": "call_service", "domain": domain, "service": service, "target": map[string]string{"entity_id": entity}}, nil)
}

// noise is what it logs without anybody's fault: it is told to install nothing, and loses the
// broker when a test takes it away; before 2025 it misses the disabled entities of a device that goes.
var noise = []string{"Skipping pip installation", "aiohttp_fast_zlib", "No device components to cleanup", "Disconnected from MQTT server", "Failed to connect to MQTT server", "Error returned from MQTT server"}

// checkLog sees that it has nothing to say against us.
func (h *homeAssistant) checkLog() {
	h.t.Helper()
	for line := range strings.Lines(h.log()) {
		if (strings.Contains(line, " WARNING ") || strings.Contains(line, " ERROR ")) && !slices.ContainsFunc(noise, func(n string) bool { return strings.Contains(line, n) }) {
			h.t.Errorf("Home Assistant's log: %s", line)
			_, after, _ := strings.Cut(h.log(), line)
			h.t.Logf("what follows: %s", after[:min(len(after), 3000)])
		}
	}
}

// haPoints are the points of these tests; the first few of them are those that stay.
var haPoints = strings.TrimSpace(`
meter,item,interval,min,max,name,discovery
*,forward_active_energy,1s,,,,
*,active_power,1s,,,House,
main,clock,1s,,,,
main,status_3.pre_trip_alarm,1s,,,,
main,forward_active_energy_t1,1s,,,,
main,frequency,1s,,,,no
main,status_3,1s,,,,
main,voltage_a,1s,,,,
main,current_a,1s,,,,
main,reactive_power,1s,,,,
main,status_3.supply,1s,,,,
`)

func TestHomeAssistant(t *testing.T) {
	if *homeAssistantRoots == "" {
		t.Skip("no Home Assistant: make home-assistant makes some and runs this")
	}
	for inside := range strings.SplitSeq(*homeAssistantRoots, ",") {
		t.Run(filepath.Base(inside), func(t *testing.T) { tryHomeAssistant(t, inside) })
	}
}

func tryHomeAssistant(t *testing.T, inside string) {
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	h := startHomeAssistant(t, inside, b.address, "en")
	table := filepath.Join(t.TempDir(), "points.csv")
	write := func(text string) {
		writeFile(t, table, text+"\n")
	}
	write(haPoints)
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=2", "DLT645_METERS": "main=1,shop=2",
		"DLT645_POINTS": table, "DLT645_ALLOW": "read,relay,maintenance", "DLT645_METER_PASSWORD": "02000000,04000000", "DLT645_CLOCK": "trusted",
	}
	root, stop := startBridge(t, variables)
	c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/meter/#")
	device := strings.Trim(regexp.MustCompile("[^a-z0-9_]+").ReplaceAllString(strings.ToLower(root), "_"), "_")
	// entity returns the id of an entity of a device.
	entity := func(of, key string) string {
		return h.id(device + "_" + map[string]string{"main": "000000000001", "shop": "000000000002", "bridge": "bridge"}[of] + "_" + key)
	}
	newest := !strings.HasPrefix(h.version, "2024.")

	t.Run("values", func(t *testing.T) {
		h.t, c.t = t, t
		for _, want := range []struct{ device, key, unit, class, state, name string }{
			{"main", "forward_active_energy", "kWh", "energy", "total_increasing", "Meter main Forward energy"},
			{"main", "active_power", "kW", "power", "measurement", "Meter main House"},
			{"main", "voltage_a", "V", "voltage", "measurement", "Meter main Voltage A"},
			{"main", "current_a", "A", "current", "measurement", "Meter main Current A"},
			{"main", "reactive_power", "kvar", "<nil>", "measurement", "Meter main Reactive power"},
			{"shop", "active_power", "kW", "power", "measurement", "Meter shop House"},
			{"main", "clock_drift", "s", "duration", "measurement", "Meter main Clock drift"},
			{"main", "connection", "<nil>", "connectivity", "<nil>", "Meter main Connection"},
			{"bridge", "bus", "<nil>", "connectivity", "<nil>", "DL/T 645 bridge Bus"},
			{"main", "forward_active_energy_t1", "kWh", "energy", "total_increasing", "Meter main Sharp forward energy"},
			{"main", "status_3_supply", "<nil>", "enum", "<nil>", "Meter main Supply"},
		} {
			id := entity(want.device, want.key)
			h.await(id, "*")
			for attribute, value := range map[string]string{"unit_of_measurement": want.unit, "device_class": want.class, "state_class": want.state, "friendly_name": want.name} {
				if got := h.attribute(id, attribute); got != value {
					t.Errorf("%s has the %s %s, want %s", id, attribute, got, value)
				}
			}
			// Before 2025.10 Home Assistant makes ids of names.
			if _, name, _ := strings.Cut(id, "."); newest && want.device != "bridge" && name != "meter_"+want.device+"_"+want.key {
				t.Errorf("%s of %s has the id %s", want.key, want.device, id)
			}
		}
		h.await(entity("main", "status_3_pre_trip_alarm"), "off")
		entities := h.registry()
		for _, unique := range []string{device + "_000000000001_frequency", device + "_000000000002_relay", device + "_000000000001_clock"} {
			if e, ok := entities[unique]; ok {
				t.Errorf("%s is there: %+v", unique, e)
			}
		}
		for _, unique := range []string{device + "_000000000001_status_3", device + "_000000000001_turnaround", device + "_bridge_queue", device + "_bridge_utilisation"} {
			if e, ok := entities[unique]; !ok || e.Disabled == nil || *e.Disabled != "integration" {
				t.Errorf("%s is not there, or not disabled: %+v", unique, e)
			}
		}
		if relay := entities[device+"_000000000001_relay"]; relay.Category == nil || *relay.Category != "config" {
			t.Errorf("the relay is an ordinary switch, which a command to an area or to a voice assistant reaches: %+v", relay)
		}
	})

	t.Run("device", func(t *testing.T) {
		h.t = t
		var meter registeredDevice
		h.until("what the meter says of itself", func() bool {
			meter = h.devices()["Meter main"]
			return meter.Software != ""
		})
		if meter.Manufacturer == "" || meter.Model == "" || meter.ModelID != "DL/T 645-2007" || meter.Hardware == "" || meter.Serial != "000000000001" || meter.Via != h.devices()["DL/T 645 bridge"].ID {
			t.Errorf("the device is %+v", meter)
		}
	})

	t.Run("relay", func(t *testing.T) {
		h.t, c.t = t, t
		event := entity("main", "event")
		h.await(entity("main", "relay"), "on")
		for _, row := range []struct{ service, state, relay string }{{"turn_off", "off", "open"}, {"turn_on", "on", "closed"}} {
			h.press(row.service, entity("main", "relay"))
			if r := parseReply(t, c.await(root+"/reply/relay/main", nil).Payload); r.Result != "verified" {
				t.Errorf("%s: %+v", row.service, r)
			}
			h.await(entity("main", "relay"), row.state)
			h.until("the event", func() bool {
				return h.attribute(event, "event_type") == "relay" && h.attribute(event, "relay") == row.relay
			})
		}
	})

	t.Run("failed command", func(t *testing.T) {
		h.t, c.t = t, t
		c.publish(root+"/request/relay/main", `{"action":"trip","expires":"2001-01-01T00:00:00Z"}`, nil)
		event := entity("main", "event")
		h.until("the event", func() bool { return h.attribute(event, "event_type") == "command_refused" })
		if code, message := h.attribute(event, "code"), h.attribute(event, "message"); code != "expired" || !strings.Contains(message, "expired before") {
			t.Errorf("the event has the code %s and the message %q", code, message)
		}
	})

	t.Run("buttons", func(t *testing.T) {
		h.t, c.t = t, t
		h.await(entity("shop", "active_power"), "*")
		h.press("press", entity("shop", "read_now"))
		if r := parseReply(t, c.await(root+"/reply/read/shop", nil).Payload); !r.OK || len(r.Values) == 0 {
			t.Errorf("%+v", r)
		}
		h.press("press", entity("main", "set_clock"))
		r := parseReply(t, c.await(root+"/reply/maintenance/main", nil).Payload)
		// Around midnight, in China, no clock is set.
		if !r.OK && (r.Error == nil || !strings.Contains(r.Error.Message, "between 23:50 and 00:10 no clock is set")) {
			t.Errorf("%+v", r)
		}
	})

	t.Run("energy dashboard", func(t *testing.T) {
		h.t = t
		grid, house := entity("main", "forward_active_energy"), entity("main", "active_power")
		type statistic struct {
			ID   string `json:"statistic_id"`
			Sum  bool   `json:"has_sum"`
			Unit string `json:"statistics_unit_of_measurement"`
		}
		var listed []statistic
		h.ask(map[string]any{"type": "recorder/list_statistic_ids"}, &listed)
		if !slices.Contains(listed, statistic{grid, true, "kWh"}) {
			t.Errorf("the dashboard does not offer %s: %+v", grid, listed)
		}
		source := map[string]any{
			"type": "grid", "cost_adjustment_day": 0, "stat_energy_from": grid, "stat_energy_to": nil, "stat_rate": house,
			"stat_cost": nil, "entity_energy_price": nil, "number_energy_price": nil,
			"stat_compensation": nil, "entity_energy_price_export": nil, "number_energy_price_export": nil,
		}
		if !newest {
			source = map[string]any{
				"type": "grid", "cost_adjustment_day": 0, "flow_to": []any{},
				"flow_from": []any{map[string]any{"stat_energy_from": grid, "stat_cost": nil, "entity_energy_price": nil, "number_energy_price": nil}},
			}
		}
		h.ask(map[string]any{"type": "energy/save_prefs", "energy_sources": []any{source}}, nil)
		var found struct {
			Sources [][]struct {
				Type     string
				Affected [][]any `json:"affected_entities"`
			} `json:"energy_sources"`
		}
		h.ask(map[string]any{"type": "energy/validate"}, &found)
		for _, source := range found.Sources {
			for _, issue := range source {
				// The first statistics are made five minutes after the start.
				if issue.Type != "statistics_not_defined" {
					t.Errorf("the dashboard complains of %s: %v", issue.Type, issue.Affected)
				}
			}
		}
		if len(found.Sources) != 1 {
			t.Errorf("the dashboard has %d sources", len(found.Sources))
		}
	})

	// A part can be stopped and started.
	type part struct {
		name        string
		stop, start func()
	}
	homeAssistantPart := part{"Home Assistant", func() { h.stop() }, func() { h.start() }}
	brokerPart := part{"broker", func() { b.stop() }, func() { b.start() }}
	startAgain := func() { _, stop = startBridge(t, variables) } // of the whole test, with its root
	bridgePart := part{"bridge", func() { stop() }, startAgain}
	back := func(t *testing.T) {
		t.Helper()
		h.t = t
		h.await(entity("main", "active_power"), "*")
		h.await(entity("shop", "forward_active_energy"), "*")
		h.await(entity("main", "connection"), "on")
		h.await(entity("main", "relay"), "on")
	}
	for _, p := range []part{homeAssistantPart, brokerPart, bridgePart} {
		t.Run("restart of "+p.name, func(t *testing.T) {
			h.t = t
			p.stop()
			if p.name != homeAssistantPart.name {
				h.await(entity("main", "active_power"), "unavailable")
			}
			p.start()
			back(t)
		})
	}
	orders := [][]part{
		{homeAssistantPart, brokerPart, bridgePart}, {homeAssistantPart, bridgePart, brokerPart},
		{brokerPart, homeAssistantPart, bridgePart}, {brokerPart, bridgePart, homeAssistantPart},
		{bridgePart, homeAssistantPart, brokerPart}, {bridgePart, brokerPart, homeAssistantPart},
	}
	if !newest {
		orders = orders[:2] // they take time, and hardly depend on the version
	}
	for _, order := range orders {
		t.Run(fmt.Sprintf("start of %s, %s, %s", order[0].name, order[1].name, order[2].name), func(t *testing.T) {
			h.t = t
			for _, p := range order {
				p.stop()
			}
			for _, p := range order {
				p.start()
			}
			back(t)
		})
	}

	t.Run("Chinese", func(t *testing.T) {
		h.t = t
		stop()
		// Home Assistant complains where the words of a value change while it has one.
		write(strings.TrimSuffix(haPoints, "\nmain,status_3.supply,1s,,,,"))
		variables["DLT645_LANGUAGE"] = "zh"
		startAgain()
		h.until("a Chinese name", func() bool {
			return h.attribute(entity("main", "voltage_a"), "friendly_name") == "电表 main A相电压"
		})
		h.await(entity("main", "voltage_a"), "*")
	})

	t.Run("removal", func(t *testing.T) {
		h.t = t
		stop()
		write(strings.Join(strings.Split(haPoints, "\n")[:7], "\n"))
		gone := []string{entity("main", "voltage_a"), entity("main", "current_a"), entity("shop", "active_power"), entity("shop", "connection")}
		variables["DLT645_METERS"] = "main=1"
		startAgain()
		for _, id := range gone {
			h.awaitNone(id)
		}
		h.await(entity("main", "active_power"), "*")
		if shop, ok := h.devices()["Meter shop"]; ok {
			t.Errorf("the device is still there: %+v", shop)
		}
		for unique, e := range h.registry() {
			if strings.Contains(unique, "_000000000002_") || newest && strings.HasSuffix(unique, "_000000000001_status_3") { // an old version keeps a disabled one
				t.Errorf("the entity %+v is still there", e)
			}
		}
		c := newClient(t, dial(t, b.address), root+"/meter/#", "homeassistant/#")
		c.publish("homeassistant/end", "", nil)
		for p := c.next(); p.Topic != "homeassistant/end"; p = c.next() {
			if strings.Contains(p.Topic, "shop") || strings.Contains(p.Topic, "000000000002") {
				t.Errorf("the broker still has %s: %s", p.Topic, p.Payload)
			}
		}
	})

	h.t = t
	h.checkLog()
}

// A registeredDevice is what Home Assistant knows of a device.
type registeredDevice struct {
	ID           string
	Name         string
	Manufacturer string
	Model        string
	ModelID      string `json:"model_id"`
	Software     string `json:"sw_version"`
	Hardware     string `json:"hw_version"`
	Serial       string `json:"serial_number"`
	Via          string `json:"via_device_id"`
}

// devices lists the devices by their names.
func (h *homeAssistant) devices() map[string]registeredDevice {
	h.t.Helper()
	var list []registeredDevice
	h.ask(map[string]any{"type": "config/device_registry/list"}, &list)
	devices := map[string]registeredDevice{}
	for _, d := range list {
		devices[d.Name] = d
	}
	return devices
}
