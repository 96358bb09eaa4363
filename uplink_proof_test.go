package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/test/cloud"
)

// A cable leads to meters that answer over TCP, and can be cut for what they say.
type cable struct {
	address string
	cut     atomic.Bool
}

func layCable(t *testing.T, to string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cable{address: listener.Addr().String()}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() {
				defer func() { _ = near.Close() }()
				piece := make([]byte, 512)
				for {
					n, err := far.Read(piece)
					if err != nil {
						return
					}
					if !c.cut.Load() {
						_, _ = near.Write(piece[:n])
					}
				}
			}()
		}
	}()
	return c
}

// TestUplinkFollowsASilentMeter goes the whole way with a meter that falls silent and comes back: its device logs
// out and in again, and values flow again.
func TestUplinkFollowsASilentMeter(t *testing.T) {
	t.Parallel()
	_, busURL := serveMeters(t, url.Values{"addresses": {"000000000001"}})
	bus, err := url.Parse(busURL)
	if err != nil {
		t.Fatal(err)
	}
	line := layCable(t, bus.Host)
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	points := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, points, "meter,item,interval\nmain,voltage_a,1s\n")
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": "tcp://" + line.address + "?baud=115200&latency=10ms&timeout=1s",
		"DLT645_METERS": "main=000000000001", "DLT645_POINTS": points,
	})
	c := startCloud(t, aliyunCloud(nil))
	startUplink(t, aliyunGateway(t, b.address, c.Address, root, "meter,product,device,secret\nmain,a1Meter,000000000001,s1\n"))
	login := awaitMessage(t, c, 0, has("combine/batch_login", `"deviceName":"000000000001"`))
	awaitMessage(t, c, login.Number, has("pack/post", `"voltage_a":{"value":2`))
	line.cut.Store(true)
	logout := awaitMessage(t, c, login.Number, has("combine/batch_logout", `"deviceName":"000000000001"`))
	line.cut.Store(false)
	again := awaitMessage(t, c, logout.Number, has("combine/batch_login", `"deviceName":"000000000001"`))
	awaitMessage(t, c, again.Number, has("pack/post", `"voltage_a":{"value":2`))
}

// TestUplinkKilledBeforeTheReply kills the uplink between a call of the cloud and the bridge's reply: started again, it
// sends no second command.
func TestUplinkKilledBeforeTheReply(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	c := startCloud(t, cloud.Config{})
	devices := filepath.Join(t.TempDir(), "devices.csv")
	writeFile(t, devices, "meter,device\nmain,d1\n")
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_UPLINK_CLOUD": "thingsboard", "DLT645_UPLINK_URL": "mqtt://" + c.Address,
		"DLT645_UPLINK_SECRET": "TOKEN", "DLT645_UPLINK_DEVICES": devices, "DLT645_UPLINK_COMMANDS": "relay",
	}
	publisher := bridgeClient(t, b, "dlt645", "main")
	bridge := newClient(t, dial(t, b.address), "dlt645/request/#")
	binary := buildBinary(t)
	first := startUplinkProcess(t, binary, variables)
	awaitMessage(t, c, 0, has("gateway/connect", "d1"))
	if err := c.Call("v1/gateway/rpc", fmt.Sprintf(`{"device":"d1","data":{"id":1,"method":"relay","params":{"action":"trip","expires":%d}}}`, time.Now().Add(time.Minute).UnixMilli())); err != nil {
		t.Fatal(err)
	}
	bridge.await("dlt645/request/relay/main", nil) // which does not answer
	first.kill()
	all, _ := c.Messages()
	startUplinkProcess(t, binary, variables)
	publisher.publish("dlt645/meter/main/state", `{"voltage_a":220.1,"time":"2026-11-20T18:00:10+08:00"}`, func(p *paho.Publish) { p.Retain = true })
	awaitMessage(t, c, len(all), has("gateway/telemetry", "220.1"))
	// What the uplink had sent by now comes before this.
	publisher.publish("dlt645/request/relay/main", "the last", nil)
	if p := bridge.await("dlt645/request/relay/main", nil); string(p.Payload) != "the last" {
		t.Errorf("the uplink, started again, sends %s", p.Payload)
	}
}

// TestUplinkSecretsAreNotShown has each cloud let the uplink in, refuse it and call it, and looks for the secrets in
// all that the program shows: log, metrics, health, help, complaints, and what sign, check and model print.
func TestUplinkSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const secret, own, password = "R2F0ZXdheVMzY3JldA==", "SubDeviceS3cret", "BrokerS3cret"
	l := leak{t, map[string]string{secret: "the secret of the gateway", own: "the secret of a device", password: "the password of the broker"}}
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	bridgeClient(t, b, "dlt645", "main")
	devices := filepath.Join(t.TempDir(), "devices.csv")
	writeFile(t, devices, "meter,product,device,secret\nmain,mpid,d1,"+own+"\n")
	for _, name := range []string{"json", "thingsboard", "jetlinks", "aliyun", "huawei", "tencent", "onenet"} {
		for _, refused := range []bool{false, true} {
			c := startCloud(t, cloud.Config{Verify: func(string, string, string) string {
				if refused {
					return "no"
				}
				return ""
			}})
			page := freeAddress(t)
			variables := map[string]string{
				"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_MQTT_USERNAME": "uplink", "DLT645_MQTT_PASSWORD": password, "DLT645_LOG_LEVEL": "debug",
				"DLT645_MQTT_CLIENT_ID": fmt.Sprintf("%s-%v", name, refused),
				"DLT645_UPLINK_CLOUD":   name, "DLT645_UPLINK_URL": "mqtt://" + c.Address, "DLT645_UPLINK_PRODUCT": "pid", "DLT645_UPLINK_DEVICE": "site7",
				"DLT645_UPLINK_SECRET": secret, "DLT645_UPLINK_DEVICES": devices, "DLT645_UPLINK_COMMANDS": "read,relay,config", "DLT645_UPLINK_HTTP": page,
			}
			if name == "jetlinks" {
				variables["DLT645_UPLINK_SECRET"] = "id:" + secret
			}
			u := startUplink(t, variables)
			want := "connected to the cloud"
			if refused {
				want = "does not let this gateway in"
			}
			awaitText(t, u.log, want)
			for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
				_, text := get(t, "http://"+page+path)
				l.search(name+path, text)
			}
			u.end(t)
			l.search("the log of "+name, u.log.String())
			if refused {
				continue
			}
			for _, arguments := range [][]string{
				{"uplink", "sign"}, {"uplink", "-help"}, {"uplink", "sign", "-help"}, {"uplink", "model", "-help"}, {"uplink", "check", "-help"}, {"help"},
				{"uplink", "sign", "-product", ""}, {"uplink", "sign", "-url", "http://" + secret + "@x"}, {"uplink", "check", "-points", "basic"}, {"uplink", "model", "-points", "basic"},
			} {
				status, out, stderr := executeApart(t, variables, "", arguments...)
				l.search(fmt.Sprintf("%s of %s, status %d,", strings.Join(arguments, " "), name, status), out+stderr)
			}
		}
	}
	variables := map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_UPLINK_CLOUD": "tencent", "DLT645_UPLINK_PRODUCT": "p", "DLT645_UPLINK_DEVICE": "d", "DLT645_UPLINK_SECRET": "no base64 " + own}
	status, out, stderr := executeApart(t, variables, "", "uplink")
	if l.search("a complaint", out+stderr); status != statusConfiguration {
		t.Errorf("a secret that is no Base64: status %d", status)
	}
}

// awaitText waits until a log has a text in it.
func awaitText(t *testing.T, log *watched, text string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(log.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the log does not say %q:\n%s", text, log)
		}
	}
}

// TestUplinkStopsAtLongNames has a point table with names that the cloud does not take: the uplink lists all of them,
// each with a line for the keys file, and does not start.
func TestUplinkStopsAtLongNames(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	points := filepath.Join(directory, "points.csv")
	items := []string{"forward_active_fundamental_energy", "reactive_combination_1_programming_count"}
	writeFile(t, points, "meter,item\nmain,voltage_a\nmain,"+strings.Join(items, "\nmain,")+"\n")
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://127.0.0.1:1", "DLT645_UPLINK_CLOUD": "tencent", "DLT645_UPLINK_PRODUCT": "p", "DLT645_UPLINK_DEVICE": "d",
		"DLT645_UPLINK_SECRET": "AAAA", "DLT645_POINTS": points,
	}
	status, _, stderr := executeApart(t, variables, "", "uplink") // which would not end if it started
	if status != statusConfiguration {
		t.Errorf("status %d", status)
	}
	for _, item := range items {
		if !strings.Contains(stderr, "line for the keys file: "+item+",") {
			t.Errorf("no line for %s in\n%s", item, stderr)
		}
	}
}
