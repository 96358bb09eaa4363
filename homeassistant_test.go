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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var homeAssistantRoot = flag.String("home-assistant", "", "folder with a Debian that has Home Assistant, as test/homeassistant/setup makes it")

// homeAssistantPatience bounds the waits for Home Assistant, which takes half a minute to start on a small machine.
const homeAssistantPatience = time.Minute

// A homeAssistant is a real Home Assistant in a Debian of its own, under a test's control.
type homeAssistant struct {
	t       *testing.T
	root    string // of its Debian
	config  string // its configuration, as seen in there
	address string
	token   string
	command *exec.Cmd
	ended   chan struct{}

	socket *websocket.Conn
	number int // of the last message to it
	states map[string]entityState
}

// An entityState is the state of an entity.
type entityState struct {
	ID         string         `json:"entity_id"`
	State      string         `json:"state"`
	Attributes map[string]any `json:"attributes"`
}

// startHomeAssistant starts a new Home Assistant, as it is after its owner has entered a name
// and a password, and the broker.
func startHomeAssistant(t *testing.T, broker, language string) *homeAssistant {
	t.Helper()
	if *homeAssistantRoot == "" {
		t.Skip("no Home Assistant: make home-assistant makes one and runs this")
	}
	outside, err := os.MkdirTemp(filepath.Join(*homeAssistantRoot, "tmp"), "config-") //nolint:usetesting // in there it sees nothing else
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(outside) })
	h := &homeAssistant{t: t, root: *homeAssistantRoot, config: strings.TrimPrefix(outside, *homeAssistantRoot), address: freeAddress(t)}
	_, port, err := net.SplitHostPort(h.address)
	if err != nil {
		t.Fatal(err)
	}
	configuration := fmt.Sprintf("http:\n  server_host: 127.0.0.1\n  server_port: %s\nhistory:\nenergy:\nlogger:\n  default: warning\n", port)
	writeFile(t, filepath.Join(outside, "configuration.yaml"), configuration)
	h.start()
	t.Cleanup(h.stop)
	h.onboard(language)
	h.connect()
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
	}
	h.call(http.MethodPost, "/api/config/config_entries/flow", map[string]any{"handler": "mqtt"}, &flow)
	number := json.Number(port)
	h.call(http.MethodPost, "/api/config/config_entries/flow/"+flow.ID, map[string]any{"broker": host, "port": number}, &flow)
	if flow.Type != "create_entry" {
		h.t.Fatalf("the broker is not taken: %+v; log: %s", flow, h.log())
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

// ask sends a message and takes the result in.
func (h *homeAssistant) ask(message map[string]any, into any) {
	h.t.Helper()
	h.number++
	message["id"] = h.number
	h.write(message)
	for {
		m := h.hear()
		if m.Type != "result" || m.ID != h.number {
			continue
		}
		if !m.Success {
			h.t.Fatalf("%v: %s; log: %s", message, m.Error, h.log())
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				h.t.Fatal(err)
			}
		}
		return
	}
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

// is tells whether an entity has a state; "*" stands for any but unknown and unavailable.
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
// broker when a test takes it away.
var noise = []string{"Skipping pip installation", "aiohttp_fast_zlib", "Disconnected from MQTT server", "Failed to connect to MQTT server", "Error returned from MQTT server"}

// checkLog sees that it has nothing to say against us.
func (h *homeAssistant) checkLog() {
	h.t.Helper()
	for line := range strings.Lines(h.log()) {
		if (strings.Contains(line, " WARNING ") || strings.Contains(line, " ERROR ")) && !slices.ContainsFunc(noise, func(n string) bool { return strings.Contains(line, n) }) {
			h.t.Errorf("Home Assistant's log: %s", line)
		}
	}
}

// haPoints are the points of these tests; without the last two lines they are few.
var haPoints = strings.TrimSpace(`
meter,item,interval,min,max,name,discovery
*,forward_active_energy,1s,,,,
*,active_power,1s,,,House,
main,clock,1s,,,,
main,status_3,1s,,,,
main,status_3.pre_trip_alarm,1s,,,,
main,frequency,1s,,,,no
main,voltage_a,1s,,,,
main,current_a,1s,,,,
`)

func TestHomeAssistant(t *testing.T) {
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	h := startHomeAssistant(t, b.address, "en")
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
	bridgeEntity := strings.NewReplacer("-", "_").Replace(root) + "_bridge_"

	t.Run("values", func(t *testing.T) {
		h.t, c.t = t, t
		for entity, want := range map[string][]string{ // unit, device class, state class, friendly name
			"sensor.meter_main_forward_active_energy": {"kWh", "energy", "total_increasing", "Meter main Forward active energy"},
			"sensor.meter_main_active_power":          {"kW", "power", "measurement", "Meter main House"},
			"sensor.meter_main_voltage_a":             {"V", "voltage", "measurement", "Meter main Voltage, phase A"},
			"sensor.meter_main_current_a":             {"A", "current", "measurement", "Meter main Current, phase A"},
			"sensor.meter_shop_active_power":          {"kW", "power", "measurement", "Meter shop House"},
			"sensor.meter_main_clock_drift":           {"s", "duration", "measurement", "Meter main Clock drift"},
			"binary_sensor.meter_main_connection":     {"<nil>", "connectivity", "<nil>", "Meter main Connection"},
			"binary_sensor." + bridgeEntity + "bus":   {"<nil>", "connectivity", "<nil>", "DL/T 645 bridge Bus"},
			"sensor." + bridgeEntity + "utilisation":  {"%", "<nil>", "measurement", "DL/T 645 bridge Bus utilisation"},
		} {
			h.await(entity, "*")
			for i, attribute := range []string{"unit_of_measurement", "device_class", "state_class", "friendly_name"} {
				if got := h.attribute(entity, attribute); got != want[i] {
					t.Errorf("%s has the %s %s, want %s", entity, attribute, got, want[i])
				}
			}
		}
		h.await("binary_sensor.meter_main_status_3_pre_trip_alarm", "off")
		for _, entity := range []string{"sensor.meter_main_frequency", "switch.meter_shop_relay"} {
			if s, ok := h.states[entity]; ok {
				t.Errorf("%s is there: %+v", entity, s)
			}
		}
	})

	t.Run("relay", func(t *testing.T) {
		h.t, c.t = t, t
		const event = "event.meter_main_event"
		h.await("switch.meter_main_relay", "on")
		for _, row := range []struct{ service, state, relay string }{{"turn_off", "off", "open"}, {"turn_on", "on", "closed"}} {
			h.press(row.service, "switch.meter_main_relay")
			if r := parseReply(t, c.await(root+"/reply/relay/main", nil).Payload); r.Result != "verified" {
				t.Errorf("%s: %+v", row.service, r)
			}
			h.await("switch.meter_main_relay", row.state)
			h.until("the event", func() bool {
				return h.attribute(event, "event_type") == "relay" && h.attribute(event, "relay") == row.relay
			})
		}
	})

	t.Run("buttons", func(t *testing.T) {
		h.t, c.t = t, t
		h.await("sensor.meter_shop_active_power", "*")
		h.press("press", "button.meter_shop_read_now")
		if r := parseReply(t, c.await(root+"/reply/read/shop", nil).Payload); !r.OK || len(r.Values) == 0 {
			t.Errorf("%+v", r)
		}
		h.press("press", "button.meter_main_set_clock")
		r := parseReply(t, c.await(root+"/reply/maintenance/main", nil).Payload)
		// Around midnight, in China, no clock is set.
		if !r.OK && (r.Error == nil || !strings.Contains(r.Error.Message, "between 23:50 and 00:10 no clock is set")) {
			t.Errorf("%+v", r)
		}
	})

	t.Run("energy dashboard", func(t *testing.T) {
		h.t = t
		const grid, house = "sensor.meter_main_forward_active_energy", "sensor.meter_main_active_power"
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
		h.ask(map[string]any{"type": "energy/save_prefs", "energy_sources": []any{map[string]any{
			"type": "grid", "cost_adjustment_day": 0, "flow_to": []any{}, "power": []any{map[string]any{"stat_rate": house}},
			"flow_from": []any{map[string]any{"stat_energy_from": grid, "stat_cost": nil, "entity_energy_price": nil, "number_energy_price": nil}},
		}}}, nil)
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
		h.await("sensor.meter_main_active_power", "*")
		h.await("sensor.meter_shop_forward_active_energy", "*")
		h.await("binary_sensor.meter_main_connection", "on")
		h.await("switch.meter_main_relay", "on")
	}
	for _, p := range []part{homeAssistantPart, brokerPart, bridgePart} {
		t.Run("restart of "+p.name, func(t *testing.T) {
			h.t = t
			p.stop()
			if p.name != homeAssistantPart.name {
				h.await("sensor.meter_main_active_power", "unavailable")
			}
			p.start()
			back(t)
		})
	}
	for _, order := range [][]part{
		{homeAssistantPart, brokerPart, bridgePart}, {homeAssistantPart, bridgePart, brokerPart},
		{brokerPart, homeAssistantPart, bridgePart}, {brokerPart, bridgePart, homeAssistantPart},
		{bridgePart, homeAssistantPart, brokerPart}, {bridgePart, brokerPart, homeAssistantPart},
	} {
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
		variables["DLT645_LANGUAGE"] = "zh"
		startAgain()
		h.until("a Chinese name", func() bool {
			return h.attribute("sensor.meter_main_voltage_a", "friendly_name") == "电表 main A相电压"
		})
		h.await("sensor.meter_main_voltage_a", "*")
	})

	t.Run("removal", func(t *testing.T) {
		h.t = t
		stop()
		write(strings.Join(strings.Split(haPoints, "\n")[:7], "\n"))
		variables["DLT645_METERS"] = "main=1"
		startAgain()
		h.awaitNone("sensor.meter_main_voltage_a")
		h.awaitNone("sensor.meter_main_current_a")
		h.awaitNone("sensor.meter_shop_active_power")
		h.awaitNone("binary_sensor.meter_shop_connection")
		h.await("sensor.meter_main_active_power", "*")
		var devices []struct {
			Name string
		}
		h.ask(map[string]any{"type": "config/device_registry/list"}, &devices)
		for _, d := range devices {
			if strings.Contains(d.Name, "shop") {
				t.Errorf("the device %s is still there", d.Name)
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
