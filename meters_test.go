package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

// quickMeters are simulated ones on a fast line, so that tests are fast.
const quickMeters = "sim://?baud=115200&turnaround=1ms"

// serveMeters serves simulated meters over TCP and returns them with the bus URL that reaches them. A bus that
// begins listens for two timeouts first, and one of these tests begins often.
func serveMeters(t *testing.T, parameters url.Values) (*simulator.Bus, string) {
	t.Helper()
	parameters.Set("baud", "115200")
	parameters.Set("turnaround", "1ms")
	line, err := simulator.Open(parameters)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- line.ServeTCP(t.Context(), listener) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return line, "tcp://" + listener.Addr().String() + "?baud=115200&latency=10ms&timeout=2s"
}

// serveMetersOnPTY serves simulated meters on a pseudo terminal, whose path it returns, or skips
// the test.
func serveMetersOnPTY(t *testing.T, meters int) string {
	t.Helper()
	line, err := simulator.Open(url.Values{"baud": {"115200"}, "meters": {strconv.Itoa(meters)}, "turnaround": {"1ms"}})
	if err != nil {
		t.Fatal(err)
	}
	pty, err := simulator.OpenPTY("")
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = line.Serve(t.Context(), pty) }()
	t.Cleanup(func() { <-ended })
	return pty.Path()
}

// A slowMeter answers over TCP when it is told to.
type slowMeter struct {
	address       string
	asked, answer chan struct{}
}

func newSlowMeter(t *testing.T) *slowMeter {
	t.Helper()
	line, err := simulator.Open(url.Values{"meters": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	m := &slowMeter{address: listener.Addr().String(), asked: make(chan struct{}), answer: make(chan struct{})}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		requests := bufio.NewScanner(connection)
		requests.Split(dlt645.SplitFrame)
		for requests.Scan() {
			m.asked <- struct{}{}
			<-m.answer
			if _, err := connection.Write(line.Answer(requests.Bytes(), time.Now())); err != nil {
				return
			}
		}
	}()
	return m
}

// TestSlaveWithoutMap names a Modbus meter as a scan finds it, without a register map. It has no points, and is read by
// its registers.
func TestSlaveWithoutMap(t *testing.T) {
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&addresses=7@modbus,000000000001", "DLT645_METERS": "rail=7@modbus,main=000000000001",
		"DLT645_POINTS": "basic",
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/meter/main/state")
	c.ready(root)
	c.await(root+"/meter/main/state", nil) // the meter has been looked for by then
	c.publish(root+"/request/read/rail", "holding:2006:2", nil)
	var r struct {
		OK     bool
		Values map[string]string
	}
	reply := c.await(root+"/reply/read/rail", nil).Payload
	if err := json.Unmarshal(reply, &r); err != nil || !r.OK || len(r.Values["holding:2006:2"]) != 8 {
		t.Errorf("%s, %v", reply, err)
	}
}
