package uplink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	fake "dlt645-mqtt/test/cloud"
	"dlt645-mqtt/uplink/dialect"
)

// TestBounded reads packets of all lengths in pieces of all sizes, up to one that is too large.
func TestBounded(t *testing.T) {
	var stream bytes.Buffer
	sizes := []int{0, 1, 127, 128, 300, 1000}
	for _, size := range sizes {
		stream.WriteByte(0x30)
		stream.Write(binary.AppendUvarint(nil, uint64(size)))
		stream.Write(make([]byte, size))
	}
	legal := stream.Len()
	stream.Write([]byte{0x30, 0xE9, 0x07}) // 1001 bytes
	for piece := 1; piece < 400; piece++ {
		here, there := net.Pipe()
		go func() {
			for rest := stream.Bytes(); len(rest) > 0; {
				n, err := there.Write(rest[:min(piece, len(rest))])
				if err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		b := &bounded{Conn: here, most: 1000}
		var got bytes.Buffer
		_, err := io.Copy(&got, b)
		if err == nil || !strings.Contains(err.Error(), "1001 bytes, more than the 1000") {
			t.Errorf("in pieces of %d: %v", piece, err)
		}
		if got.Len() > legal+2 || got.Len() < legal-piece {
			t.Errorf("in pieces of %d: %d bytes came through, want the %d of packets that are allowed", piece, got.Len(), legal)
		}
		_, _ = here.Close(), there.Close()
	}
}

// TestAmbiguous tells messages that every program reads alike from others.
func TestAmbiguous(t *testing.T) {
	for message, want := range map[string]string{
		`{"a":1,"b":{"a":1,"c":[{"a":1},{"a":2}]},"c":"a"}`: "",
		`{"a":1,"a":2}`:                      `"a"`,
		`{"a":1,"A":2}`:                      `"a"`,
		`{"p":{"action":0,"action":1}}`:      `"action"`,
		`[{"x":[1,{"y":1,"z":{},"y":2}]}]`:   `"y"`,
		"{\"id\":\"\xff\"}":                  "UTF-8",
		`{"id":"\ud83d"}`:                    "half a character",
		`{"id":"\ud83d\ude00"}`:              "",
		`{"a":"b","b":"a"}`:                  "",
		`{"a":`:                              "", // no JSON, which the dialect says
		strings.Repeat(`{"a":`, 20000) + "1": "",
	} {
		if got := ambiguous([]byte(message)); got == "" != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%.60s: %q, want %q", message, got, want)
		}
	}
}

// gatewayOf is a gateway of each cloud with one meter, as a device and flat.
func gatewayOf(cloud string, flat bool) Config {
	c := Config{Cloud: cloud, Options: dialect.Options{
		Product: "pid", Device: "site7", Secret: map[string]string{"jetlinks": "id:key", "tencent": "AAECAwQFBgcICQoLDA0ODw==", "onenet": "AAECAwQFBgcICQoLDA0ODw=="}[cloud],
		Commands: []string{"read", "relay", "config"}, Topic: "up/{device}",
	}}
	if c.Options.Secret == "" {
		c.Options.Secret = "secret"
	}
	if !flat {
		c.Options.Devices = []dialect.Device{{Root: "dlt645", Meter: "main", Product: "mpid", Name: "d1", Secret: "s1"}}
	}
	return c
}

// platformOf answers as each cloud does, with gatewayOf.
func platformOf(cloud string) fake.Config {
	switch cloud {
	case "aliyun":
		p := &fake.Aliyun{Product: "pid", Device: "site7", Secret: "secret", Devices: map[string]string{"d1": "s1"}}
		return fake.Config{Password: p.Password, Answer: p.Answer}
	case "tencent":
		p := &fake.Tencent{Product: "pid", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw=="}
		return fake.Config{Password: p.Password("hmacsha256"), Answer: p.Answer}
	case "onenet":
		p := &fake.OneNET{Product: "pid", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw=="}
		return fake.Config{Verify: p.Verify, Answer: p.Answer}
	case "huawei":
		p := &fake.Huawei{Device: "site7", Secret: "secret"}
		return fake.Config{Password: p.Password}
	case "jetlinks":
		p := &fake.JetLinks{Product: "pid", Device: "site7", ID: "id", Key: "key"}
		return fake.Config{Password: p.Password}
	case "thingsboard":
		return fake.Config{Password: fake.ThingsBoardPassword("secret")}
	}
	return fake.Config{}
}

// downTopics are where each cloud speaks to gatewayOf, with the part of a call that a relay needs.
var downTopics = map[string][]string{
	"json":        {"up/site7/call", "up/d1/call"},
	"thingsboard": {"v1/gateway/rpc", "v1/devices/me/rpc/request/7"},
	"jetlinks":    {"/pid/site7/function/invoke", "/pid/site7/child/d1/function/invoke", "/pid/site7/properties/read", "/pid/site7/child/d1/properties/write"},
	"aliyun":      {"/sys/pid/site7/thing/service/relay", "/sys/mpid/d1/thing/service/relay", "/sys/mpid/d1/thing/service/property/get", "/sys/mpid/d1/thing/service/property/set", "/sys/pid/site7/thing/event/property/pack/post_reply", "/ext/session/pid/site7/combine/batch_login_reply"},
	"huawei":      {"$oc/devices/site7/sys/commands/request_id=7", "$oc/devices/site7/sys/properties/get/request_id=7", "$oc/devices/site7/sys/properties/set/request_id=7"},
	"tencent":     {"$thing/down/action/pid/site7", "$thing/down/action/mpid/d1", "$thing/down/property/mpid/d1", "$gateway/operation/result/pid/site7"},
	"onenet":      {"$sys/pid/site7/thing/service/relay/invoke", "$sys/pid/site7/thing/sub/service/invoke", "$sys/pid/site7/thing/property/get", "$sys/pid/site7/thing/pack/post/reply", "$sys/pid/site7/thing/sub/property/set"},
}

// hostile are messages that no platform should send.
func hostile() (all []string) {
	deep := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	all = append(all, "", "null", "7", `"text"`, "[]", "[[[[", "{", "{}", "\x00\x01\x02", "\xff\xfe", `{"id":`, strings.Repeat("[", 100000), strings.Repeat(`{"a":`, 100000), deep, "{} {}")
	relay := func(id, action, rest string) []string {
		arguments := `{"action":` + action + rest + `}`
		return []string{
			`{"id":` + id + `,"method":"relay","action":` + action + rest + `,"code":200,"data":` + arguments + `}`,
			`{"device":"d1","data":{"id":` + id + `,"method":"relay","params":` + arguments + `}}`,
			`{"method":"relay","params":` + arguments + `}`,
			`{"messageId":` + id + `,"timestamp":1,"functionId":"relay","inputs":[{"name":"action","value":` + action + `}]}`,
			`{"id":` + id + `,"version":"1.0","params":` + arguments + `}`,
			`{"object_device_id":"d1","command_name":"relay","paras":` + arguments + `}`,
			`{"method":"action","clientToken":` + id + `,"actionId":"relay","timestamp":1,"params":` + arguments + `}`,
			`{"id":` + id + `,"params":{"productID":"mpid","deviceName":"d1","identifier":"relay","input":` + arguments + `}}`,
		}
	}
	for _, id := range []string{`"7"`, "7", "null", `{"a":1}`, "[1,2]", "1e999", "-0.5", `"` + strings.Repeat("9", 100000) + `"`, `"\ud800"`, "\"\xff\"", "true"} {
		all = append(all, relay(id, `"trip"`, "")...)
	}
	for _, action := range []string{"0", `"0"`, "0.0", "1e0", "null", "true", "{}", `["trip"]`, `"TRIP"`, `"trip\u0000"`, strings.Repeat("9", 400)} {
		all = append(all, relay(`"8"`, action, `,"expires":"soon"`)...)
		all = append(all, relay(`"8"`, action, `,"expires":-1`)...)
		all = append(all, relay(`"8"`, action, `,"expires":99999999999999999999`)...)
		all = append(all, relay(`"8"`, action, `,"expires":1e13,"meter":{"a":1}`)...)
		all = append(all, relay(`"8"`, action, `,"expires":4102444800000,"action":"close"`)...) // doubled, and in time
	}
	for _, foreign := range []string{`"other"`, "7", `"` + strings.Repeat("d", 70000) + `"`, `"../../x"`, `"d1/+"`} {
		all = append(
			all, `{"device":`+foreign+`,"data":{"id":1,"method":"relay","params":{"action":"trip","expires":4102444800000}}}`,
			`{"object_device_id":`+foreign+`,"command_name":"relay","paras":{"action":"trip","expires":4102444800000}}`,
			`{"id":"1","params":{"productID":"mpid","deviceName":`+foreign+`,"identifier":"relay","input":{"action":0,"expires":4102444800000}}}`,
		)
	}
	for _, service := range []string{`"reboot"`, `""`, "7", `"relay "`, `"Relay"`} {
		all = append(all, `{"id":"1","method":`+service+`,"functionId":`+service+`,"command_name":`+service+`,"actionId":`+service+`,"object_device_id":"d1","device":"d1","data":{"id":1,"method":`+service+`}}`)
	}
	huge := strings.Repeat("x", 500<<10)
	return append(all, `{"id":"1","method":"read","params":["`+huge+`"],"code":200,"message":"`+huge+`","data":{"`+huge+`":"`+huge[:1000]+`"}}`)
}

// TestHostileClouds sends each dialect, as a gateway and flat, whatever a cloud could send: nothing is switched, the
// uplink stays, and what is published then arrives.
func TestHostileClouds(t *testing.T) {
	for _, cloud := range dialect.Names() {
		for _, flat := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/flat=%v", cloud, flat), func(t *testing.T) {
				t.Parallel()
				behaviour := platformOf(cloud)
				if behaviour.Answer == nil {
					behaviour.Answer = func(fake.Message) []fake.Message { return nil }
				}
				s := newSite(t, behaviour, gatewayOf(cloud, flat))
				requests := s.requests(func(string, []byte) string { return `{"ok":false,"error":{"code":"not_allowed","message":"no"}}` })
				s.publish("meter/main/availability", "online")
				s.state("main", 1, `"voltage_a":220.1`)
				s.await(0, "", "220.1")
				for _, topic := range downTopics[cloud] {
					for _, message := range hostile() {
						if err := s.cloud.Call(topic, message); err != nil {
							t.Fatal(err)
						}
					}
				}
				all, _ := s.cloud.Messages()
				s.state("main", 2, `"voltage_a":221.7`)
				s.await(len(all), "", "221.7")
				for _, r := range requests() {
					if strings.Contains(r.TopicName, "/relay/") {
						t.Errorf("a relay was switched by %s", r.Payload)
					}
				}
				if log := s.log.String(); strings.Contains(log, "sends a packet of") || strings.Contains(log, "could not be read") || len(log) > 1<<20 {
					t.Errorf("a dialect has failed, a message was too large, or the log has %d bytes", len(log))
				}
			})
		}
	}
}

// TestCloudThatIsNoBroker gives the uplink streams that are no MQTT: it says so, and goes on trying.
func TestCloudThatIsNoBroker(t *testing.T) {
	for name, stream := range map[string]string{
		"a web server":                         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an acknowledgement of something else": "\x40\x02\x00\x01",
		"an unknown code":                      "\x20\x02\x00\x86",
		"a packet of 256 MiB":                  "\x30\xff\xff\xff\x7f",
		"an endless length":                    "\x20\xff\xff\xff\xff\xff",
		"nothing":                              "",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = connection.Write([]byte(stream))
					_, _ = connection.Read(make([]byte, 1024))
					_ = connection.Close()
				}
			}()
			config := thingsBoard("main")
			config.URL = &url.URL{Scheme: "mqtt", Host: listener.Addr().String()}
			s := newSite(t, fake.Config{}, config)
			s.eventually("a line about it", func() bool { return strings.Contains(s.log.String(), "does not let this gateway in") })
		})
	}
}
