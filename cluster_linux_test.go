package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/test/line"
)

var telegraf = flag.String("telegraf", "", "the `file` of the Telegraf that make cluster has built")

// A cluster is what deploy/fleet describes: three nodes of RabbitMQ behind HAProxy, Telegraf and VictoriaMetrics.
type cluster struct {
	nodes    []*rabbit
	address  string // of HAProxy
	database string // URL
	accounts string // folder
}

// startCluster runs it with the files of deploy/fleet, in which addresses alone are replaced.
func startCluster(t *testing.T, sites ...string) *cluster {
	t.Helper()
	c := &cluster{nodes: newRabbits(t, 3), address: freeAddress(t), accounts: t.TempDir()}
	configuration := readFile(t, "deploy/fleet/rabbitmq.conf")
	for i, node := range c.nodes {
		configuration = strings.ReplaceAll(configuration, fmt.Sprintf("rabbit@broker-%d", i+1), node.name)
	}
	own := func(node *rabbit) string {
		return strings.ReplaceAll(configuration, "mqtt.listeners.tcp.default = 1883", "mqtt.listeners.tcp.default = "+node.address)
	}
	for _, node := range c.nodes {
		node.start(t, own(node))
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s: %s", node.name, node.output)
			}
		})
	}
	for _, node := range c.nodes {
		node.ctl(t, "await_startup", "--timeout", "240")
	}
	for _, node := range c.nodes {
		awaitListener(t, node.address, node.ended, node.output)
		if status := node.ctl(t, "cluster_status"); strings.Count(status, "@localhost") < 3 {
			t.Fatalf("there is no cluster of three: %s", status)
		}
	}
	c.addSites(t, sites...)

	proxy := strings.ReplaceAll(readFile(t, "deploy/fleet/haproxy.cfg"), "bind :1883", "bind "+c.address)
	for i, node := range c.nodes {
		proxy = strings.ReplaceAll(proxy, fmt.Sprintf("broker-%d:1883", i+1), node.address)
	}
	root := debianRoot(t)
	folder, err := os.MkdirTemp(filepath.Join(root, "tmp"), "cluster-") //nolint:usetesting // it has to be inside the other Debian
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	inside := strings.TrimPrefix(folder, root)
	writeFile(t, filepath.Join(folder, "haproxy.cfg"), proxy)
	output, ended := runProgram(t, "chroot", root, "/usr/sbin/haproxy", "-db", "-f", inside+"/haproxy.cfg")
	awaitListener(t, c.address, ended, output)

	database := freeAddress(t)
	c.database = "http://" + database
	writeFile(t, filepath.Join(folder, "relabel.yml"), readFile(t, "deploy/fleet/victoria-metrics-relabel.yml"))
	_, arguments, _ := strings.Cut(readFile(t, "deploy/fleet/victoria-metrics.default"), `ARGS="`)
	arguments, _, _ = strings.Cut(arguments, `"`)
	arguments = strings.NewReplacer("/var/lib/victoria-metrics", inside+"/data", "127.0.0.1:8428", database, "/etc/victoria-metrics-relabel.yml", inside+"/relabel.yml").Replace(arguments)
	output, ended = runProgram(t, append([]string{"chroot", root, "/usr/bin/victoria-metrics"}, strings.Fields(arguments)...)...)
	awaitListener(t, database, ended, output)
	return c
}

// addSites makes accounts for sites, as docs/fleet.md says, and gives them to the cluster.
func (c *cluster) addSites(t *testing.T, sites ...string) {
	t.Helper()
	makeAccounts(t, c.accounts, "mqtt://"+c.address, sites...)
	writeFile(t, filepath.Join(c.nodes[2].folder, "definitions.json"), readFile(t, filepath.Join(c.accounts, "definitions.json")))
	c.nodes[2].ctl(t, "import_definitions", strings.TrimPrefix(c.nodes[2].folder, c.nodes[2].root)+"/definitions.json")
}

func (c *cluster) secret(t *testing.T, account string) string {
	t.Helper()
	return readFile(t, filepath.Join(c.accounts, "secrets", account))
}

// startTelegraf runs Telegraf with the configuration of deploy/fleet, and returns how to kill it.
func (c *cluster) startTelegraf(t *testing.T) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, *telegraf, "--config", "deploy/fleet/telegraf.conf")
	command.Env = append(os.Environ(), "BROKER=tcp://"+c.address, "BROKER_PASSWORD="+c.secret(t, "database"), "DATABASE="+c.database)
	output := newWatched("Starting Telegraf")
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	kill = func() { cancel(); <-ended }
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("Telegraf: %s", output)
		}
	})
	select {
	case <-output.seen:
	case <-ended:
		t.Fatalf("Telegraf ended: %s", output)
	case <-time.After(patience):
		t.Fatalf("Telegraf does not start: %s", output)
	}
	return kill
}

// A witness stands between a bridge and HAProxy, and notes what the bridge publishes and what is acknowledged of it.
type witness struct {
	address string
	broker  string

	mu         sync.Mutex
	readings   map[string]*sending // by topic and payload
	subscribed []period            // when the bridge was subscribed to its requests; the last one may be open
	replies    map[string]int      // how often each was sent, by payload
}

// A sending is what became of one reading.
type sending struct {
	topic, payload string
	sent           int
	acknowledged   bool
}

type period struct{ from, until time.Time }

func startWitness(t *testing.T, broker string) *witness {
	t.Helper()
	w := &witness{broker: broker, readings: map[string]*sending{}, replies: map[string]int{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = listener.Addr().String()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(near)
		}
	}()
	return w
}

// carry passes all bytes on in both directions, and looks at the packets in them.
func (w *witness) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", w.broker)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	unacknowledged := map[uint16]*sending{} // under the lock
	ended := make(chan struct{}, 2)
	pass := func(to, from net.Conn, see func(*packets.ControlPacket)) {
		defer func() { ended <- struct{}{} }()
		var raw bytes.Buffer
		in := io.TeeReader(bufio.NewReader(from), &raw)
		for {
			packet, err := packets.ReadPacket(in)
			if err != nil {
				return
			}
			w.mu.Lock()
			see(packet)
			w.mu.Unlock()
			if _, err := raw.WriteTo(to); err != nil {
				return
			}
		}
	}
	subscribed := false
	go pass(far, near, func(packet *packets.ControlPacket) {
		p, ok := packet.Content.(*packets.Publish)
		if ok && strings.Contains(p.Topic, "/reply/") {
			w.replies[string(p.Payload)]++
		}
		if !ok || !strings.HasSuffix(p.Topic, "/readings") {
			return
		}
		key := p.Topic + " " + string(p.Payload)
		one := w.readings[key]
		if one == nil {
			one = &sending{topic: p.Topic, payload: string(p.Payload)}
			w.readings[key] = one
		}
		one.sent++
		unacknowledged[p.PacketID] = one
	})
	go pass(near, far, func(packet *packets.ControlPacket) {
		switch p := packet.Content.(type) {
		case *packets.Suback:
			if !subscribed {
				subscribed = true
				w.subscribed = append(w.subscribed, period{from: time.Now()})
			}
		case *packets.Puback:
			if one := unacknowledged[p.PacketID]; one != nil && p.ReasonCode < 0x80 {
				one.acknowledged = true
				delete(unacknowledged, p.PacketID)
			}
		}
	})
	<-ended
	w.mu.Lock()
	if subscribed {
		w.subscribed[len(w.subscribed)-1].until = time.Now()
	}
	w.mu.Unlock()
}

// online reports whether the bridge is subscribed, and since when.
func (w *witness) online() (bool, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.subscribed) == 0 {
		return false, time.Time{}
	}
	last := w.subscribed[len(w.subscribed)-1]
	return last.until.IsZero(), last.from
}

// steadily reports whether the bridge was subscribed over one connection from some time before a moment to some time after.
func (w *witness) steadily(at time.Time, margin time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.subscribed, func(p period) bool {
		return p.from.Before(at.Add(-margin)) && (p.until.IsZero() || p.until.After(at.Add(margin)))
	})
}

// A request is one that a client has published, and what came of it.
type request struct {
	site         string
	acknowledged time.Time // zero: never
	replies      []string
}

// TestCluster runs bridges at a cluster whose nodes are killed and frozen, and Telegraf with it: every reading that was
// acknowledged is in the database once, and every request that was acknowledged while its bridge was subscribed has one reply.
func TestCluster(t *testing.T) {
	if *telegraf == "" {
		t.Skip("make cluster runs this, with a Telegraf that it builds")
	}
	sites := []string{"site-095", "site-096", "site-097", "site-098", "site-099", "site-100"}
	c := startCluster(t, sites...)
	killTelegraf := c.startTelegraf(t)
	binary := buildBinary(t)
	points := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, points, "meter,item,interval\n*,voltage_block,1s\n*,active_power,1s\n*,forward_active_energy,2s\n")
	witnesses := map[string]*witness{}
	metrics := map[string]string{}
	start := func(site string) {
		witnesses[site], metrics[site] = startWitness(t, c.address), freeAddress(t)
		startSite(t, binary, c.accounts, site, "DLT645_MQTT_URL=mqtt://"+witnesses[site].address, "DLT645_METERS=main=1,shop=2", "DLT645_POINTS="+points,
			"DLT645_HTTP="+metrics[site], "DLT645_LOG_LEVEL=error")
	}
	for _, site := range sites {
		start(site)
	}
	// allOnline waits until all bridges are subscribed.
	allOnline := func(most time.Duration) {
		t.Helper()
		await(t, most, "a bridge is not subscribed", func() bool {
			for _, w := range witnesses {
				if online, _ := w.online(); !online {
					return false
				}
			}
			return true
		})
	}
	allOnline(time.Minute)

	// Whoever asks is at the node that is left alone.
	asking := newClientAs(t, dial(t, c.nodes[2].address), "fleet", c.secret(t, "fleet"), "+/reply/fleet/#")
	var mu sync.Mutex
	requests := map[string]*request{}
	ctx, stopAsking := context.WithCancel(t.Context())
	var asked sync.WaitGroup
	asked.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			site, id := sites[n%len(sites)], fmt.Sprintf("request-%d", n)
			one := &request{site: site}
			mu.Lock()
			requests[id] = one
			mu.Unlock()
			asked.Go(func() {
				waiting, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				response, err := asking.Publish(waiting, &paho.Publish{
					Topic: site + "/request/read/main", QoS: 1, Payload: fmt.Appendf(nil, `{"id":%q,"items":["frequency"]}`, id),
					Properties: &paho.PublishProperties{ResponseTopic: site + "/reply/fleet/read"},
				})
				if err == nil && response.ReasonCode == 0 {
					mu.Lock()
					one.acknowledged = time.Now()
					mu.Unlock()
				}
			})
			pause(ctx, 100*time.Millisecond)
		}
	})
	go func() {
		for p := range asking.messages {
			var reply struct{ ID string }
			_ = json.Unmarshal(p.Payload, &reply)
			mu.Lock()
			if one := requests[reply.ID]; one != nil {
				one.replies = append(one.replies, string(p.Payload))
			}
			mu.Unlock()
		}
	}()

	// A phase lasts until that many more readings of each site are acknowledged.
	acknowledged := func() map[string]int {
		counts := map[string]int{}
		for site, w := range witnesses {
			w.mu.Lock()
			for _, one := range w.readings {
				if one.acknowledged {
					counts[site]++
				}
			}
			w.mu.Unlock()
		}
		return counts
	}
	phase := func(more int) {
		t.Helper()
		before := acknowledged()
		await(t, 3*time.Minute, "readings are not acknowledged", func() bool {
			for site, now := range acknowledged() {
				if now < before[site]+more {
					return false
				}
			}
			return true
		})
	}
	var table []line.Measure
	// back measures how long after a fault all bridges are subscribed over a node that works, and readings go on.
	back := func(what string, fault func()) {
		t.Helper()
		begin := time.Now()
		before := map[string]int{}
		for site, w := range witnesses {
			w.mu.Lock()
			before[site] = len(w.subscribed)
			w.mu.Unlock()
		}
		fault()
		await(t, time.Minute, "no bridge notices that a node has failed", func() bool {
			for site, w := range witnesses {
				w.mu.Lock()
				broken := len(w.subscribed) > before[site] || !w.subscribed[len(w.subscribed)-1].until.IsZero()
				w.mu.Unlock()
				if broken {
					return true
				}
			}
			return false
		})
		lost, last := 0, time.Duration(0)
		phase(20)
		allOnline(time.Minute)
		for site, w := range witnesses {
			w.mu.Lock()
			if len(w.subscribed) > before[site] {
				lost++
				last = max(last, w.subscribed[len(w.subscribed)-1].from.Sub(begin))
			}
			w.mu.Unlock()
		}
		table = append(table, line.Measure{What: what, Where: fmt.Sprintf("%d of %d bridges moved", lost, len(witnesses)), Ours: line.Seconds(last)})
	}
	process := func(node *rabbit) int {
		var pid int
		if _, err := fmt.Sscanf(strings.Trim(strings.TrimSpace(node.ctl(t, "eval", "os:getpid().")), `"`), "%d", &pid); err != nil {
			t.Fatalf("the node does not tell its process: %v", err)
		}
		return pid
	}
	signal := func(pid int, signal syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	phase(20)

	// bridges counts those at a node.
	connections := func(node *rabbit) string {
		return node.ctl(t, "eval", "[rabbit_mqtt_reader:info(P, [user]) || P <- rabbit_mqtt:local_connection_pids()].")
	}
	bridges := func(node *rabbit) int { return strings.Count(connections(node), `"site-`) }
	killed, frozen := c.nodes[0], c.nodes[1]
	if bridges(killed) < bridges(frozen) {
		killed, frozen = frozen, killed
	}
	if bridges(killed) == 0 {
		t.Fatalf("no bridge is at the nodes that are to fail: %s", connections(killed))
	}
	t.Logf("at the node that is killed: %s; at the one that is frozen: %s", connections(killed), connections(frozen))
	first := process(killed)
	back("a node killed: all bridges are back after", func() { signal(first, syscall.SIGKILL) })
	<-killed.ended
	killed.start(t, strings.TrimSpace(readFile(t, filepath.Join(killed.folder, "rabbitmq.conf"))))
	killed.ctl(t, "await_startup", "--timeout", "240")
	phase(20)

	second := process(frozen)
	back("a node frozen: all bridges are back after", func() { signal(second, syscall.SIGSTOP) })
	signal(second, syscall.SIGCONT)
	var said string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what a node said last of the cluster: %s", said)
		}
	})
	await(t, 5*time.Minute, "the nodes are not one cluster again", func() bool {
		for _, node := range c.nodes {
			var status struct {
				Running    []string `json:"running_nodes"`
				Partitions map[string]any
			}
			out, err := node.inside(t.Context(), "/usr/lib/rabbitmq/bin/rabbitmqctl", "cluster_status", "--silent", "--formatter", "json").Output()
			said = fmt.Sprintf("%s: %v %s", node.name, err, out)
			if err != nil || json.Unmarshal(out, &status) != nil || len(status.Running) < 3 || len(status.Partitions) > 0 {
				return false
			}
		}
		return true
	})
	phase(20)

	killTelegraf()
	phase(20)
	c.startTelegraf(t)

	// Site 101: one account, one file, and it stands in the list, in the database and on the dashboard.
	c.addSites(t, "site-101")
	start("site-101")
	phase(20)
	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + c.address, "DLT645_MQTT_USERNAME": "fleet", "DLT645_MQTT_PASSWORD": c.secret(t, "fleet")})
	status, out, stderr := execute(t, "", "fleet", "-listen", "2m", "-roots", "site-100,site-101", "list")
	if status != 0 || !strings.Contains(out, "site-101") || strings.Count(out, "online") < 2 {
		t.Errorf("fleet list: status %d: %s%s", status, out, stderr)
	}
	c.checkDashboard(t, "site-101")

	stopAsking()
	asked.Wait()
	c.checkReadings(t, witnesses, metrics, &table)
	await(t, time.Minute, "a request has no reply", func() bool { // the replies of the last ones
		mu.Lock()
		defer mu.Unlock()
		for _, one := range requests {
			if !one.acknowledged.IsZero() && len(one.replies) == 0 && witnesses[one.site].steadily(one.acknowledged, 10*time.Second) {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	taken, answered, between, again := 0, 0, 0, 0
	for id, one := range requests {
		// A reply whose acknowledgement is lost with the connection goes out again over the next, the same bytes. Anything else
		// that is there twice is a second reply.
		if n := len(one.replies); n > 1 {
			w := witnesses[one.site]
			w.mu.Lock()
			sent := w.replies[one.replies[0]]
			w.mu.Unlock()
			if same := slices.Compact(slices.Clone(one.replies)); len(same) > 1 || sent < n {
				t.Errorf("%s to %s has %d replies, and the bridge has sent the first %d times: %q", id, one.site, n, sent, same)
			}
			again++
		}
		switch {
		case one.acknowledged.IsZero():
		case len(one.replies) > 0:
			taken, answered = taken+1, answered+1
		default:
			taken, between = taken+1, between+1
		}
	}
	table = append(table, line.Measure{What: "requests acknowledged; with one reply; of them the same bytes twice; without, their bridge being about to move", Where: "RabbitMQ",
		Ours: fmt.Sprintf("%d; %d; %d; %d", taken, answered, again, between)})
	if answered == 0 {
		t.Error("no request has a reply")
	}
	line.PrintMeasures(table)
}

// query asks the database, in the language of Prometheus.
func (c *cluster) query(t *testing.T, expression string) (series []struct {
	Metric map[string]string
	Value  [2]any
}) {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result json.RawMessage
		}
	}
	body := c.get(t, "/api/v1/query?"+url.Values{"query": {expression}, "latency_offset": {"1s"}}.Encode())
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v: %s", expression, err, body)
	}
	_ = json.Unmarshal(answer.Data.Result, &series)
	return series
}

func (c *cluster) get(t *testing.T, path string) []byte {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.database+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v: %s", path, response.Status, err, body)
	}
	return body
}

// checkDashboard has the panels of the fleet's dashboard show a site, by what came to the database over MQTT alone.
func (c *cluster) checkDashboard(t *testing.T, site string) {
	t.Helper()
	shown := map[string]bool{}
	for _, dashboard := range grafanaDashboards(t) {
		if !strings.Contains(dashboard.UID, "fleet") {
			continue
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expression := strings.ReplaceAll(target.Expr, "$site", site)
				if !fromMQTT(expression) {
					continue
				}
				await(t, time.Minute, fmt.Sprintf("the panel %s shows nothing of %s", panel.Title, site), func() bool { return len(c.query(t, expression)) > 0 })
				shown[panel.Title] = true
			}
		}
	}
	if len(shown) < 5 {
		t.Errorf("the dashboard shows %s on %q only", site, slices.Sorted(maps.Keys(shown)))
	}
}

// fromMQTT reports whether all metrics of an expression come by MQTT, besides by /metrics.
func fromMQTT(expression string) bool {
	for _, other := range []string{"readings_lost", "replies_total", "exchanges_total", "polls_missed", "offset 1h"} {
		if strings.Contains(expression, other) {
			return false
		}
	}
	return true
}

// checkReadings holds what is in the database against what the bridges have published.
func (c *cluster) checkReadings(t *testing.T, witnesses map[string]*witness, metrics map[string]string, table *[]line.Measure) {
	t.Helper()
	type sample struct {
		instance, meter, item string
		at                    int64
	}
	must, may := map[sample]float64{}, map[sample]float64{}
	messages, twice := 0, 0
	for site, w := range witnesses {
		if _, shown := get(t, "http://"+metrics[site]+"/metrics"); !strings.Contains(shown, "dlt645_readings_lost_total 0\n") {
			t.Errorf("%s has given up readings", site)
		}
		w.mu.Lock()
		for _, one := range w.readings {
			var values map[string]any
			if err := json.Unmarshal([]byte(one.payload), &values); err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, values["time"].(string))
			if err != nil {
				t.Fatal(err)
			}
			delete(values, "time")
			for item, value := range values {
				key := sample{site, strings.Split(one.topic, "/")[2], item, at.UnixMilli()}
				may[key] = value.(float64)
				if one.acknowledged {
					must[key] = value.(float64)
				}
			}
			if one.acknowledged {
				messages++
			}
			if one.sent > 1 {
				twice++
			}
		}
		w.mu.Unlock()
	}
	var stored map[sample][]float64
	read := func(raw string) (total int) {
		stored = map[sample][]float64{}
		decoder := json.NewDecoder(bytes.NewReader(c.get(t, "/api/v1/export?match[]=dlt645_point_value"+raw)))
		for {
			var series struct {
				Metric     map[string]string
				Values     []float64
				Timestamps []int64
			}
			if err := decoder.Decode(&series); err == io.EOF {
				return total
			} else if err != nil {
				t.Fatal(err)
			}
			for i, at := range series.Timestamps {
				key := sample{series.Metric["instance"], series.Metric["meter"], series.Metric["item"], at}
				stored[key] = append(stored[key], series.Values[i])
				total++
			}
		}
	}
	missing := func() (some []sample) {
		read("")
		for key := range must {
			if stored[key] == nil {
				some = append(some, key)
			}
		}
		return some
	}
	for deadline := time.Now().Add(2 * time.Minute); len(missing()) > 0; pause(t.Context(), time.Second) {
		if time.Now().After(deadline) {
			some := missing()
			t.Errorf("%d of %d values that were acknowledged are not in the database, such as %+v", len(some), len(must), some[0])
			break
		}
	}
	total := read("")
	for key, values := range stored {
		want, sent := may[key]
		if late := key.at > time.Now().Add(-5*time.Second).UnixMilli(); !sent && late {
			continue // it was read since
		}
		if len(values) != 1 || !sent || values[0] != want {
			t.Errorf("the database has %v of %+v, want %v once (sent: %t)", values, key, want, sent)
		}
	}
	read("&reduce_mem_usage=1") // as they came, before what is doubled is left out
	doubled := 0
	for _, values := range stored {
		doubled += len(values) - 1
	}
	*table = append(*table,
		line.Measure{What: "readings acknowledged; published twice", Where: "RabbitMQ", Ours: fmt.Sprintf("%d; %d", messages, twice)},
		line.Measure{What: "values in them; in the database, with the latest; came there twice and were kept once", Where: "VictoriaMetrics", Ours: fmt.Sprintf("%d; %d; %d", len(must), total, doubled)})
}
