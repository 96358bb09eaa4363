package cloud

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const tools = "../../.tools/cloud-sdks"

// runSDK runs a program that speaks with the cloud by its maker's SDK, or skips the test where that
// is not installed.
func runSDK(t *testing.T, program string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = t.TempDir() // some write logs
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(arguments[:1], " "), err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Logf("%s", lines[len(lines)-1])
}

// installed returns a path below the folder of the SDKs, absolute, or skips the test where not all of them are there.
func installed(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join(tools, path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tools, "installed")); err != nil { // made last
		t.Skip("the SDKs of the clouds' makers are not installed (make cloud-sdks)")
	}
	return absolute
}

func script(t *testing.T, name string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join("sdks", name))
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

func start(t *testing.T, config Config) *Cloud {
	t.Helper()
	c, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			all, _ := c.Messages()
			for _, m := range all {
				t.Logf("%s %s", m.Topic, m.Payload)
			}
			_, refused := c.Connects()
			t.Logf("refused: %v", refused)
		}
	})
	return c
}

// got fails unless a message with these parts comes on a topic with that end. A program may have ended before the
// cloud has read its last words.
func got(t *testing.T, c *Cloud, topic string, parts ...string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		all, arrived := c.Messages()
		for _, m := range all {
			found := strings.HasSuffix(m.Topic, topic)
			for _, part := range parts {
				found = found && strings.Contains(string(m.Payload), part)
			}
			if found {
				return
			}
		}
		select {
		case <-arrived:
		case <-late:
			t.Errorf("the cloud has no message on %s with %v", topic, parts)
			return
		}
	}
}

func writeJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAliyunPythonSDK(t *testing.T) {
	python := installed(t, "python/bin/python")
	platform := &Aliyun{Product: "a1Meter", Device: "main", Secret: "secret"}
	c := start(t, Config{Password: platform.Password, Answer: platform.Answer, Subscribed: platform.Subscribed})
	host, port, _ := net.SplitHostPort(c.Address)
	tsl := writeJSON(t, map[string]any{"properties": []any{}, "events": []any{}, "services": []any{}})
	runSDK(t, python, script(t, "aliyun.py"), host, port, platform.Product, platform.Device, platform.Secret, tsl)
	got(t, c, "/sys/a1Meter/main/thing/event/property/post", `"voltage_a": 220.1`, `"method": "thing.event.property.post"`)
}

func TestAliyunNodeSDK(t *testing.T) {
	modules := installed(t, "node_modules")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	platform := &Aliyun{Product: "a1Gateway", Device: "site7", Secret: "secret", Devices: map[string]string{"000000000001": "s1"}}
	c := start(t, Config{Password: platform.Password, Answer: platform.Answer, Sessions: true})
	runSDK(t, node, script(t, "aliyun.js"), modules, c.Address, platform.Product, platform.Device, platform.Secret, "a1Meter", "000000000001", "s1")
	got(t, c, "/sys/a1Gateway/site7/thing/topo/add", `"deviceName":"000000000001"`)
	got(t, c, "/ext/session/a1Gateway/site7/combine/login", `"deviceName":"000000000001"`)
	got(t, c, "/sys/a1Meter/000000000001/thing/event/property/post", `"voltage_a":220.1`)
	got(t, c, "/sys/a1Meter/000000000001/thing/event/limit_passed/post", `"reading":253.4`)
}

func TestTencentPythonSDK(t *testing.T) {
	python := installed(t, "python/bin/python")
	platform := &Tencent{Product: "GATEWAYPID", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw=="}
	const level31 = 3
	c := start(t, Config{Password: platform.Password("hmacsha1"), Answer: platform.Answer, Levels: []byte{level31, 4}})
	host, port, _ := net.SplitHostPort(c.Address)
	file := writeJSON(t, map[string]any{
		"auth_mode": "KEY", "productId": platform.Product, "productSecret": "", "deviceName": platform.Device, "region": "china",
		"key_deviceinfo":  map[string]any{"deviceSecret": platform.Secret},
		"cert_deviceinfo": map[string]any{"devCaFile": "", "devCertFile": "", "devPrivateKeyFile": ""},
		"subDev":          map[string]any{"subdev_num": 1, "subdev_list": []any{map[string]any{"sub_productId": "METERPID", "sub_devName": "000000000001"}}},
	})
	runSDK(t, python, script(t, "tencent.py"), host, port, file)
	got(t, c, "$gateway/operation/GATEWAYPID/site7", `"type": "online"`, `"device_name": "000000000001"`)
	got(t, c, "$thing/up/property/METERPID/000000000001", `"report"`, `"voltage_a": 220.1`)
}

func TestThingsBoardPythonSDK(t *testing.T) {
	python := installed(t, "thingsboard/bin/python")
	const level5 = 5
	c := start(t, Config{Password: ThingsBoardPassword("TOKEN"), Answer: ThingsBoardAnswer, Levels: []byte{level5}})
	host, port, _ := net.SplitHostPort(c.Address)
	runSDK(t, python, script(t, "thingsboard.py"), host, port, "TOKEN")
	got(t, c, "v1/gateway/connect", `"device":"main"`)
	got(t, c, "v1/gateway/telemetry", `"main"`, `"ts":1795168810213`, `"voltage_a":220.1`)
}
