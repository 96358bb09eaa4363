package uplink

import (
	"strings"
	"sync"
	"testing"

	fake "dlt645-mqtt/test/cloud"
)

// TestPoisonByDisconnect has a cloud that ends the connection at one value: it is given up alone, what stands
// beside it and what comes after it arrives, and the next time it is not even tried.
func TestPoisonByDisconnect(t *testing.T) {
	s := newSite(t, fake.Config{Kick: func(m fake.Message) bool { return strings.Contains(string(m.Payload), `"voltage_b":666`) }}, thingsBoard("main", "shop"))
	s.publish("meter/main/availability", "online")
	s.publish("meter/shop/availability", "online")
	s.state("main", 1, `"voltage_a":1`)
	s.await(0, "gateway/telemetry", `"voltage_a":1}`)
	s.state("main", 2, `"voltage_a":2,"voltage_b":666,"voltage_c":2`)
	s.state("shop", 3, `"voltage_a":3`)
	s.await(0, "gateway/telemetry", `"dshop"`, `"voltage_a":3`)
	alone := func(want string) {
		t.Helper()
		s.eventually("the arrival of "+want+" without the value that ends connections", func() bool {
			all, _ := s.cloud.Messages()
			for _, m := range all {
				if strings.Contains(string(m.Payload), want) && !strings.Contains(string(m.Payload), "666") {
					return true
				}
			}
			return false
		})
	}
	alone(`"voltage_a":2`)
	alone(`"voltage_c":2`)
	s.eventually("the count of what was given up", func() bool {
		return strings.Contains(s.metrics(), `dlt645_uplink_rejected_total{item="voltage_b",reason="disconnect"} 1`)
	})
	if !strings.Contains(s.log.String(), "it is given up") || !strings.Contains(s.log.String(), "key=voltage_b") {
		t.Error("the log does not say which value was given up")
	}
	s.state("main", 4, `"voltage_a":4,"voltage_b":666`)
	alone(`"voltage_a":4`)
	before := len(s.cloud.Attempts())
	s.state("main", 5, `"voltage_a":5,"voltage_b":666`)
	alone(`"voltage_a":5`)
	if after := len(s.cloud.Attempts()); after != before {
		t.Errorf("the uplink connected %d times more for a value that it knows to end connections", after-before)
	}
	if !strings.Contains(s.metrics(), `dlt645_uplink_rejected_total{item="voltage_b",reason="kept_back"}`) {
		t.Error("values that were kept back are not counted")
	}
}

// TestCloudThatClosesOnEveryPost loses nothing, says so, and knocks more and more seldom; when it takes posts
// again, all come.
func TestCloudThatClosesOnEveryPost(t *testing.T) {
	var (
		mu      sync.Mutex
		closing = true
		taken   string // payloads at which the connection was not ended
	)
	s := newSite(t, fake.Config{Kick: func(m fake.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if closing {
			return strings.Contains(string(m.Payload), "voltage_a")
		}
		taken += string(m.Payload) + "\n"
		return false
	}}, thingsBoard("main"))
	s.publish("meter/main/availability", "online")
	s.await(0, "gateway/telemetry", `"online":true`)
	// Before it has subscribed the broker keeps only the last state for it.
	s.eventually("its subscriptions", func() bool {
		return strings.Contains(s.log.String(), `has granted the subscriptions" client_id=uplink broker=`)
	})
	for second := range 5 {
		s.state("main", second, `"voltage_a":`+string(rune('1'+second)))
	}
	s.eventually("the tenth attempt", func() bool { return len(s.cloud.Attempts()) >= 10 })
	if text := s.metrics(); strings.Contains(text, "rejected_total") {
		t.Errorf("something was given up: %s", text)
	}
	if !strings.Contains(s.log.String(), "ends the connection at whatever is posted") {
		t.Error("the log does not say what the cloud does")
	}
	if got := s.uplink.cloud.ended.Load(); got < 8 {
		t.Errorf("%d connections count as ended under a post, want those that did, so that the pauses grow", got)
	}
	mu.Lock()
	closing = false
	mu.Unlock()
	for second := range 5 {
		value := `"voltage_a":` + string(rune('1'+second)) + "}"
		s.eventually("the arrival of "+value, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(taken, value)
		})
	}
}

// TestPoisonByReply has a cloud that refuses whole messages for one value in them: the others arrive.
func TestPoisonByReply(t *testing.T) {
	platform, behaviour, config := aliyun("main", "shop")
	behaviour.Answer = func(m fake.Message) []fake.Message {
		answers := platform.Answer(m)
		if strings.Contains(string(m.Payload), `"voltage_b":{"value":666`) {
			for i := range answers {
				answers[i].Payload = []byte(strings.Replace(string(answers[i].Payload), `"code":200`, `"code":6304`, 1))
			}
		}
		return answers
	}
	s := newSite(t, behaviour, config)
	s.publish("meter/main/availability", "online")
	s.publish("meter/shop/availability", "online")
	for second := range 4 {
		s.state("main", second, `"voltage_a":`+string(rune('1'+second))+`,"voltage_b":666,"voltage_c":2.0`)
		s.eventually("the arrival of the rest", func() bool {
			all, _ := s.cloud.Messages()
			for _, m := range all {
				if text := string(m.Payload); strings.Contains(text, `"voltage_a":{"value":`+string(rune('1'+second))) && !strings.Contains(text, "666") {
					return true
				}
			}
			return false
		})
	}
	if text := s.metrics(); !strings.Contains(text, `dlt645_uplink_rejected_total{item="voltage_b",reason="6304"} 2`) || !strings.Contains(text, `reason="kept_back"} 2`) {
		t.Errorf("want two refusals, and that the value is kept back then:\n%s", text)
	}
	if len(s.cloud.Attempts()) != 1 {
		t.Error("a refusal ended the connection")
	}
}

// TestDeviceThatIsRefused has one device of a batch with a wrong secret, which the platform refuses as a whole:
// the others log in and their values arrive.
func TestDeviceThatIsRefused(t *testing.T) {
	platform, behaviour, config := aliyun("m1", "m2", "m3", "m4", "m5")
	platform.Devices["dm3"] = "another secret"
	s := newSite(t, behaviour, config)
	for _, m := range []string{"m1", "m2", "m3", "m4", "m5"} {
		s.publish("meter/"+m+"/availability", "online")
	}
	for _, m := range []string{"m1", "m2", "m3", "m4", "m5"} {
		s.state(m, 1, `"voltage_a":220.1`)
	}
	for _, m := range []string{"m1", "m2", "m4", "m5"} {
		s.eventually("a value of "+m+" without the device that is not logged in", func() bool {
			all, _ := s.cloud.Messages()
			for _, post := range all {
				if text := string(post.Payload); strings.HasSuffix(post.Topic, "pack/post") && strings.Contains(text, `"voltage_a"`) && strings.Contains(text, `"d`+m+`"`) && !strings.Contains(text, `"dm3"`) {
					return true
				}
			}
			return false
		})
	}
	s.eventually("a line about the device", func() bool { return strings.Contains(s.log.String(), "invalid sign of dm3") })
}

// TestDeviceThatEndsConnections has a cloud that ends the connection when one device is announced: it is left
// out, and the values of the others arrive.
func TestDeviceThatEndsConnections(t *testing.T) {
	s := newSite(t, fake.Config{Kick: func(m fake.Message) bool {
		return m.Topic == "v1/gateway/connect" && strings.Contains(string(m.Payload), "dm2")
	}}, thingsBoard("m1", "m2", "m3"))
	for _, m := range []string{"m1", "m2", "m3"} {
		s.publish("meter/"+m+"/availability", "online")
	}
	s.eventually("a line that the device is left out", func() bool {
		return strings.Contains(s.log.String(), "it is not announced for an hour") && strings.Contains(s.log.String(), "device=dm2")
	})
	s.state("m3", 1, `"voltage_a":220.1`)
	s.await(0, "gateway/telemetry", `"dm3"`, "220.1")
}
