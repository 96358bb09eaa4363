package main

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// BenchmarkReadOverMQTT measures a single read over MQTT against the time that its bytes need
// on the wire: 11 bits a byte, 20 ms turnaround, four wake-up bytes before either frame. The
// figures are what comes on top of the wire, in milliseconds, and the whole as a ratio.
func BenchmarkReadOverMQTT(b *testing.B) {
	for _, baud := range []int{2400, 9600, 115200} {
		b.Run(fmt.Sprintf("%dbaud", baud), func(b *testing.B) {
			broker := benchBroker(b)
			root, stop := startBridge(b, map[string]string{
				"DLT645_MQTT_URL": "mqtt://" + broker.address, "DLT645_BUS_URL": fmt.Sprintf("sim://?baud=%d&turnaround=20ms&fe=4", baud), "DLT645_METERS": "main=1",
			})
			defer stop()
			c := newClient(b, dial(b, broker.address), root+"/reply/#")
			c.ready(root)
			c.ask(root, "read/main", "voltage_a")
			const request, answer = 4 + 12 + 4, 4 + 12 + 6
			wire := time.Duration((request+answer)*11)*time.Second/time.Duration(baud) + 20*time.Millisecond
			var beyond []time.Duration
			for b.Loop() {
				start := time.Now()
				if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
					b.Fatalf("%+v", r)
				}
				beyond = append(beyond, time.Since(start)-wire)
			}
			slices.Sort(beyond)
			median, worst := beyond[len(beyond)/2], beyond[len(beyond)*99/100]
			b.ReportMetric(float64(median.Microseconds())/1000, "ms-beyond-wire-median")
			b.ReportMetric(float64(worst.Microseconds())/1000, "ms-beyond-wire-p99")
			b.ReportMetric(float64(median+wire)/float64(wire), "ratio-to-wire")
		})
	}
}

// benchBroker is a mosquitto where there is one, else the embedded broker.
func benchBroker(b *testing.B) *testBroker {
	b.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if _, err := exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			b.Log("mosquitto is not installed; measured with the embedded broker")
			return startMochi(b)
		}
	}
	return startMosquitto(b, freeAddress(b), "allow_anonymous true")
}
