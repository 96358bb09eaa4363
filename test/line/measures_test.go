package line

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
	"dlt645-mqtt/simulator"
)

var measureLines = flag.String("measures", "", "`list` of speeds at which TestMeasures also measures lines in real time, over a pty and over TCP, and prints all as a table")

// TestMeasures checks what the bus is to reach on simulated lines of 11 bits a byte with 20 ms
// turnaround. In virtual time every delay is the bus's own doing, not the machine's, so what is
// found there must always hold. With -measures=2400,9600 the same is measured in real time, and
// everything is printed.
func TestMeasures(t *testing.T) {
	var table []Measure
	for _, baud := range []int{2400, 9600, 115200} {
		synctest.Test(t, func(t *testing.T) { table = append(table, measureLine(t, "virtual", baud)...) })
	}
	synctest.Test(t, func(t *testing.T) { table = append(table, measureLists(t, 9600)...) })
	synctest.Test(t, func(t *testing.T) { table = append(table, measureModbus(t, 9600)...) })
	synctest.Test(t, func(t *testing.T) { table = append(table, measureMixed(t)) })
	synctest.Test(t, func(t *testing.T) { table = append(table, measureDead(t)) })
	synctest.Test(t, func(t *testing.T) { table = append(table, measureEqual(t)) })
	for _, row := range table {
		if row.Missed {
			t.Errorf("%s (%s): %s against %s, ratio %s; wanted %s", row.What, row.Where, row.Ours, row.Theirs, row.Ratio, row.Reach)
		}
	}
	if *measureLines == "" {
		return
	}
	var speeds []int
	for text := range strings.SplitSeq(*measureLines, ",") {
		baud, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("speed %q is no whole number", text)
		}
		speeds = append(speeds, baud)
	}
	// The lines are measured side by side: each is idle most of the time, as seen from here.
	rows := make([][]Measure, 2*len(speeds))
	t.Run("lines", func(t *testing.T) {
		for i := range rows {
			kind, baud := []string{"pty", "tcp"}[i%2], speeds[i/2]
			t.Run(fmt.Sprintf("%s %d", kind, baud), func(t *testing.T) {
				t.Parallel()
				rows[i] = measureLine(t, kind, baud)
			})
		}
	})
	PrintMeasures(append(append(table, slices.Concat(rows...)...), measureDecode(), measureDecode698()))
}

func rate(r *record) float64 { return float64(r.values) / r.elapsed().Seconds() }

// measureLine polls 20 items of 4 meters and compares: our bus with the time that the wire
// itself needs, blocks with single items, ours with the ideal master and with a simple one.
func measureLine(t *testing.T, kind string, baud int) []Measure {
	w := newWire(t, kind, baud, 4)
	where := fmt.Sprintf("%s %d", kind, baud)
	addresses := make([]string, 0, len(w.meters))
	for _, m := range w.meters {
		addresses = append(addresses, m.Address())
	}
	m := w.master()
	m.poll(addresses, 1, true) // the first time each meter is a stranger
	blocks := m.poll(addresses, 2, true)
	singles := m.poll(addresses, 1, false)
	waits := m.relayWaits(addresses, 10)
	m.stop()

	bare := w.bare()
	ideal := bare.ideal(blocks.exchanges)
	simple := bare.simple(singles.exchanges)
	simple.values = singles.values
	if err := bare.port.Close(); err != nil {
		t.Error(err)
	}

	own := w.ownOf(&blocks)
	worst := slices.Max(waits)
	busy := own.Seconds() / blocks.elapsed().Seconds()
	gain := rate(&blocks) / rate(&singles)
	reach, short := "", false // the wire's share is what it is where the turnaround is most of it
	if baud <= 9600 {
		reach, short = "at least 98 %", busy < 0.98
	}
	behind := blocks.elapsed().Seconds() / ideal.elapsed().Seconds()
	return []Measure{
		{
			"polling 20 items of 4 meters: wire busy", where,
			Seconds(blocks.elapsed()), Seconds(own) + " of the wire", fmt.Sprintf("%.1f %%", 100*busy), reach, short,
		},
		{
			"the same as blocks against one by one", where,
			fmt.Sprintf("%.1f values/s", rate(&blocks)), fmt.Sprintf("%.1f values/s", rate(&singles)), fmt.Sprintf("%.2f", gain), "at least 2.5", gain < 2.5,
		},
		{
			"the same against the ideal master", where,
			Seconds(blocks.elapsed()), Seconds(ideal.elapsed()), fmt.Sprintf("%.3f", behind), "at most 1.01", behind > 1.01,
		},
		{
			"the same against one by one until silence", where,
			fmt.Sprintf("%.1f values/s", rate(&blocks)), fmt.Sprintf("%.1f values/s", rate(&simple)), fmt.Sprintf("%.2f", rate(&blocks)/rate(&simple)), "", false,
		},
		{
			"relay command under full polling: worst wait", where,
			fmt.Sprintf("%.2f ms", float64(worst.Microseconds())/1000), "the exchange under way", "", "at most 2 ms", worst > 2*time.Millisecond,
		},
	}
}

// measureLists polls 20 items of 4 meters of DL/T 698.45, as lists and one by one.
func measureLists(t *testing.T, baud int) []Measure {
	w := newWire698(t, baud, 4)
	where := fmt.Sprintf("virtual %d", baud)
	addresses := []string{"000000000001", "000000000002", "000000000003", "000000000004"}
	m := w.master()
	m.poll(addresses, 1, true) // the first time each meter is a stranger
	lists := m.poll(addresses, 2, true)
	singles := m.poll(addresses, 1, false)
	m.stop()
	bare := w.bare()
	ideal := bare.ideal(lists.exchanges)
	if err := bare.port.Close(); err != nil {
		t.Error(err)
	}
	gain := rate(&lists) / rate(&singles)
	behind := lists.elapsed().Seconds() / ideal.elapsed().Seconds()
	return []Measure{
		{
			"20 items of 4 meters by DL/T 698.45: lists against one by one", where,
			fmt.Sprintf("%.1f values/s", rate(&lists)), fmt.Sprintf("%.1f values/s", rate(&singles)), fmt.Sprintf("%.2f", gain), "at least 7", gain < 7,
		},
		{
			"the same against the ideal master", where,
			Seconds(lists.elapsed()), Seconds(ideal.elapsed()), fmt.Sprintf("%.3f", behind), "at most 1.03", behind > 1.03,
		},
	}
}

// measureModbus polls 20 items of a meter of Modbus.
func measureModbus(t *testing.T, baud int) []Measure {
	model, _ := modbus.BuiltIn("dtsu666")
	meter, err := simulator.NewSlave(simulator.SlaveOptions{Address: "7", Map: model})
	if err != nil {
		t.Fatal(err)
	}
	line := simulator.NewBus(simulator.BusOptions{Devices: []simulator.Device{meter}, Baud: baud, Turnaround: benchTurnaround})
	w := &wire{t: t, kind: "virtual", baud: baud, spoken: modbus.New(model), config: virtualBus(line, baud)}
	m := w.master()
	// An answer of Modbus names nothing of what was asked. Until the line has long enough brought none twice, the
	// bus waits for such ones before the next request of the same kind.
	m.poll([]string{"7"}, 30, true)
	const passes = 10
	all := m.poll([]string{"7"}, passes, true)
	m.stop()
	// An ideal master lets the line be silent for 3.5 characters before each request, and for no more.
	ideal := time.Duration(len(all.exchanges)-1) * w.bytes(7) / 2
	for _, e := range all.exchanges {
		ideal += w.bytes(len(e.request)) + benchTurnaround + w.bytes(len(e.answer))
	}
	each := float64(len(all.exchanges)) / passes
	behind := all.elapsed().Seconds() / ideal.Seconds()
	where := fmt.Sprintf("virtual %d", baud)
	return []Measure{
		{"20 items of a meter of Modbus: exchanges", where, fmt.Sprintf("%.1f", each), "20 items", "", "at most 3", each > 3 || all.values != passes*len(pollItems)},
		{"the same against the ideal master", where, Seconds(all.elapsed()), Seconds(ideal), fmt.Sprintf("%.3f", behind), "at most 1.03", behind > 1.03},
	}
}

// measureMixed polls meters of each protocol on one line, at two speeds. A change of speed costs the line nothing
// there; what it does cost is the bus's own doing.
func measureMixed(t *testing.T) Measure {
	fast := protocol.Mode{Baud: 9600, Parity: "even", Stop: 1}
	model, _ := modbus.BuiltIn("dtsu666")
	grid, err := simulator.NewMeter698(simulator.Meter698Options{Address: "000000000003", Mode: fast})
	if err != nil {
		t.Fatal(err)
	}
	rail, err := simulator.NewSlave(simulator.SlaveOptions{Address: "7", Map: model, Mode: fast})
	if err != nil {
		t.Fatal(err)
	}
	water, err := simulator.NewMeter188(simulator.Meter188Options{Address: "00000000000004"})
	if err != nil {
		t.Fatal(err)
	}
	line := simulator.NewBus(simulator.BusOptions{
		Meters: Simulated(t, "000000000001", "000000000002"), Devices: []simulator.Device{grid, rail, water},
		Baud: 2400, Turnaround: benchTurnaround, WakeUp: benchWakeUp,
	})
	w := &wire{t: t, kind: "virtual", baud: 2400, config: virtualBus(line, 2400)}
	w.config.Tunable = true
	m := w.master()
	var pollers sync.WaitGroup
	begin := time.Now()
	for _, meter := range []struct {
		address string
		spoken  protocol.Protocol
		items   []string
		mode    protocol.Mode
	}{
		{"000000000001", dlt645.New(dlt645.V2007, time.UTC), pollItems, protocol.Mode{}},
		{"000000000002", dlt645.New(dlt645.V2007, time.UTC), pollItems, protocol.Mode{}},
		{"000000000003", dlt698.New(time.UTC), pollItems, fast},
		{"7", modbus.New(model), pollItems, fast},
		{"00000000000004", cjt188.New(time.UTC), []string{"volume"}, protocol.Mode{}},
	} {
		address := AddressOf(meter.spoken, meter.address)
		pollers.Go(func() {
			for time.Since(begin) < 5*time.Minute {
				// Planned anew each time, as the bridge does: a plan rests on what is known of the meter.
				plan, err := meter.spoken.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassPoll, Address: address, Items: meter.items}, m.Meter(address.MeterKey))
				if err != nil {
					t.Error(err)
					return
				}
				for k := range plan.Steps {
					plan.Steps[k].Mode = meter.mode
				}
				m.add(m.once(plan.Steps))
			}
		})
	}
	pollers.Wait()
	busy := m.State().Utilisation
	m.stop()
	return Measure{
		"DL/T 645 and CJ/T 188 at 2400, DL/T 698.45 and Modbus at 9600 baud: wire busy", "virtual", fmt.Sprintf("%d values", m.record.values), "", fmt.Sprintf("%.1f %%", 100*busy), "at least 90 %", busy < 0.9,
	}
}

// measureDead compares what nine meters give with and without a tenth that is dead.
func measureDead(t *testing.T) Measure {
	w := newWire(t, "virtual", 2400, 9)
	var nine []string
	for _, m := range w.meters {
		nine = append(nine, m.Address())
	}
	const during = 30 * time.Minute
	sum := func(counts map[string]int) (n int) {
		for _, address := range nine {
			n += counts[address]
		}
		return n
	}
	m := w.master()
	without := sum(m.readings(nine, during))
	m.stop()
	m = w.master()
	with := sum(m.readings(append(nine, "000000000099"), during))
	m.stop()
	share := float64(with) / float64(without)
	return Measure{
		"1 of 10 meters dead: readings of the others", "virtual 2400",
		fmt.Sprintf("%d in %v", with, during), fmt.Sprintf("%d without it", without), fmt.Sprintf("%.1f %%", 100*share), "at least 97 %", share < 0.97,
	}
}

// measureEqual sends a thousand equal reads at once.
func measureEqual(t *testing.T) Measure {
	w := newWire(t, "virtual", 2400, 1)
	m := w.master()
	step := m.plan("000000000001", true)[:1]
	var reports []<-chan bus.Report
	for range 1000 {
		report, err := m.Submit(bus.Job{Steps: step})
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, report)
	}
	for _, report := range reports {
		if err := (<-report).Replies[0].Err; err != nil {
			t.Error(err)
		}
	}
	m.stop()
	n := len(m.record.exchanges)
	return Measure{"1,000 equal reads at once: exchanges", "virtual 2400", fmt.Sprint(n), "1000 reads", "", "at most 2", n > 2}
}

// measureDecode decodes the answer with the block of all voltages.
func measureDecode() Measure {
	plan, err := dlt645.New(dlt645.V2007, time.UTC).Plan(protocol.Request{Verb: protocol.VerbRead, Address: AddressOf(dlt645.New(dlt645.V2007, time.UTC), "000000000001"), Items: pollItems[:3]}, nil)
	if err != nil {
		return Measure{What: "decode a frame", Ours: err.Error(), Missed: true}
	}
	frame := dlt645.Frame{Address: dlt645.Address{0, 0, 0, 0, 0, 1}, Control: 0x91, Data: []byte{0x00, 0xFF, 0x01, 0x02, 0x01, 0x22, 0x02, 0x22, 0x03, 0x22}}
	answer, err := frame.AppendBinary(nil)
	if err != nil {
		return Measure{What: "decode a frame", Ours: err.Error(), Missed: true}
	}
	values := 0
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, result, err := plan.Steps[0].First.Take(answer)
			if err != nil {
				b.Fatal(err)
			}
			values = len(result.Values)
		}
	})
	each := float64(result.AllocsPerOp()) / float64(max(1, values))
	return Measure{
		"decode a frame into three values", "", fmt.Sprintf("%d ns, %.1f allocations a value", result.NsPerOp(), each), "", "",
		"under 1000 ns, 2 allocations", result.NsPerOp() >= 1000 || each > 2 || values != 3,
	}
}

// measureDecode698 decodes the answer with one register of DL/T 698.45.
func measureDecode698() Measure {
	const what = "decode a frame of DL/T 698.45 with one register"
	spoken := dlt698.New(time.UTC)
	plan, err := spoken.Plan(protocol.Request{Verb: protocol.VerbRead, Address: AddressOf(spoken, "000000000000"), Items: []string{"forward_active_energy"}}, nil)
	if err != nil {
		return Measure{What: what, Ours: err.Error(), Missed: true}
	}
	request, err := dlt698.ParseFrame(plan.Steps[0].First.Request)
	if err != nil {
		return Measure{What: what, Ours: err.Error(), Missed: true}
	}
	apdu := []byte{0x85, 1, request.Data[2], 0x00, 0x10, 0x02, 0x01, 1, 6, 0x00, 0x01, 0xE2, 0x40, 0, 0}
	answer, err := dlt698.Frame{Control: 0xC3, Address: request.Address, Client: request.Client, Data: apdu}.AppendBinary(nil)
	if err != nil {
		return Measure{What: what, Ours: err.Error(), Missed: true}
	}
	values := 0
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, result, err := plan.Steps[0].First.Take(answer)
			if err != nil {
				b.Fatal(err)
			}
			values = len(result.Values)
		}
	})
	return Measure{
		what, "", fmt.Sprintf("%d ns, %d allocations", result.NsPerOp(), result.AllocsPerOp()), "", "",
		"under 1000 ns, 2 allocations", result.NsPerOp() >= 1000 || result.AllocsPerOp() > 2 || values != 1,
	}
}
