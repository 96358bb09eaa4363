package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol/modbus"
)

// runScan finds the meters on the bus and prints a table, or the reply as JSON.
func runScan(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("scan", "", "Finds the meters on the bus, without a broker, by asking narrower and narrower patterns of addresses.\nCtrl-C ends it early and shows what was found. Exit 1 if nothing was, or if it ended early.", stderr)
	url := flags.String("bus", "", "bus `URL`, instead of DLT645_BUS_URL")
	asJSON := flags.Bool("json", false, "print the reply as it would be published")
	meters := flags.Uint("meters", 0, "how `many` there are: the scan ends when they are found; without it all addresses are ruled out, which takes long")
	protocols := flags.String("protocol", "", "`list` of protocols to look for, such as 2007,698; without it all that can ask many addresses at once, which modbus cannot")
	speeds := flags.String("speeds", "", "`list` of speeds to try on a serial line, such as 2400,9600; without it that of the bus and 600 to 19200")
	parities := flags.String("parities", "", "`list` of parities to try on a serial line, such as even; without it even,none")
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	fail := func(status int, err error) int {
		complain(stderr, "scan", err)
		return status
	}
	request := map[string]any{}
	if *meters > 0 {
		request["meters"] = *meters
	}
	for key, list := range map[string]string{"protocols": *protocols, "parities": *parities} {
		if list != "" {
			request[key] = strings.Split(list, ",")
		}
	}
	if *speeds != "" {
		var numbers []int
		for text := range strings.SplitSeq(*speeds, ",") {
			speed, err := strconv.Atoi(text)
			if err != nil {
				return fail(2, fmt.Errorf("speed %q is no whole number", text))
			}
			numbers = append(numbers, speed)
		}
		request["speeds"] = numbers
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fail(1, err)
	}
	if err := setVariables(map[string]string{"DLT645_BUS_URL": *url}); err != nil {
		return fail(1, err)
	}
	c, err := readConfig(false)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	return printScan(scanBus(ctx, c, body, stderr), c, int(*meters), *asJSON, out, stderr)
}

// scanBus looks for the meters on a bus and returns the reply. The end of ctx ends the scan, and
// then the reply tells what was found; the bus lives on for that.
func scanBus(ctx context.Context, c config, body []byte, stderr io.Writer) []byte {
	return onBus(context.WithoutCancel(ctx), c, slog.LevelWarn, stderr, func(b *bridge.Bridge) []byte {
		bar := progressBar{w: stderr, shown: isTerminal(stderr)}
		defer bar.clear()
		told := 0
		return b.Scan(ctx, body, func(now bridge.ScanProgress) {
			for _, heard := range now.Heard[min(told, len(now.Heard)):] {
				bar.clear()
				fmt.Fprintln(stderr, heard.Message)
			}
			told = len(now.Heard)
			bar.show(now)
		})
	})
}

// A foundMeter is a meter that a scan has found.
type foundMeter struct {
	Address, Protocol, Options, Parity string
	Baud                               int
}

// entry returns what stands behind the name of the meter in DLT645_METERS: with the options that reach it, and
// the settings of the line where they are not those of the bus.
func (m foundMeter) entry(bus bus.Settings) string {
	var options []string
	if m.Options != "" {
		options = append(options, m.Options)
	}
	if m.Baud != bus.Baud {
		options = append(options, fmt.Sprintf("baud=%d", m.Baud))
	}
	if m.Parity != bus.Parity {
		options = append(options, "parity="+m.Parity)
	}
	entry := m.Address + "@" + m.Protocol
	if options != nil {
		entry += "?" + strings.Join(options, "&")
	}
	return entry
}

// metersLine returns what has to be set so that meters which a scan has found have names.
func metersLine(found []foundMeter, c config) string {
	var entries []string
	for i, m := range found {
		entry := m.entry(c.bus.Settings)
		if c.protocol != nil && m.Protocol == c.protocol.Name() {
			entry = strings.Replace(entry, "@"+m.Protocol, "", 1)
		}
		entries = append(entries, fmt.Sprintf("meter%d=%s", i+1, entry))
	}
	value := strings.Join(entries, ",")
	if strings.Contains(value, "&") {
		value = "'" + value + "'" // for shells
	}
	return "DLT645_METERS=" + value
}

// printScan shows the reply to a scan of the bus of c, for so many meters, or all if that is 0.
func printScan(reply []byte, c config, wanted int, asJSON bool, out, stderr io.Writer) int {
	var shown struct {
		OK     bool
		Error  *struct{ Message string }
		Meters []foundMeter
		Sure   bool
		Heard  []struct {
			Message, Protocol, Parity string
			Baud                      int
			AtLeast                   int `json:"at_least"`
		}
		Stopped *struct{ Message string }
	}
	if err := json.Unmarshal(reply, &shown); err != nil {
		complain(stderr, "scan", err)
		return 1
	}
	status := 0
	if !shown.OK || len(shown.Meters) == 0 {
		status = 1
	}
	if asJSON {
		fmt.Fprintf(out, "%s\n", reply)
		return status
	}
	if shown.Error != nil {
		fmt.Fprintf(stderr, "dlt645-mqtt: %s: %s\n", say("scan"), shown.Error.Message)
		return status
	}
	table := [][]string{strings.Split(say("ADDRESS\tPROTOCOL\tBAUD\tPARITY"), "\t")}
	for _, m := range shown.Meters {
		if m.Options != "" {
			m.Protocol += "?" + m.Options
		}
		table = append(table, []string{m.Address, m.Protocol, strconv.Itoa(m.Baud), m.Parity})
	}
	printColumns(out, table...)
	alike := 0 // meters that nobody can tell apart by asking
	for _, h := range shown.Heard {
		alike += h.AtLeast
		if wanted > 0 && len(shown.Meters) >= wanted {
			break // what several meters that answer at once look like is no news any more
		}
		sayf(stderr, "heard, but not found (%s, %d baud, parity %s): %s\n", h.Protocol, h.Baud, h.Parity, h.Message)
	}
	switch found := len(shown.Meters); {
	case shown.Stopped != nil:
		sayf(stderr, "%d found; the scan ended early, there may be more: %s\n", found, shown.Stopped.Message)
	case shown.Sure:
		sayf(stderr, "%d found; every other address has been ruled out\n", found)
	case wanted > 0 && found >= wanted:
		sayf(stderr, "all %d found\n", found)
	case wanted > 0 && found+alike >= wanted:
		sayf(stderr, "%d of %d found; the others answer at once, as said above\n", found, wanted)
	case wanted > 0:
		sayf(stderr, "%d of %d found; to what was asked nobody else has answered with an address: see that the others have power, and are wired and set as was tried. Meters of Modbus are asked one address after the other, and only with -protocol modbus\n", found, wanted)
	default:
		sayf(stderr, "%d found; not every other address has been ruled out\n", found)
	}
	if len(shown.Meters) > 0 {
		sayf(stderr, "to give them names:\n%s\n", metersLine(shown.Meters, c))
		if slices.ContainsFunc(shown.Meters, func(m foundMeter) bool { return m.Protocol == modbus.Name }) {
			sayf(stderr, "behind modbus goes the name of a register map, of %s or a file of yours, as in @modbus/%s\n", strings.Join(modbus.Models(), ", "), modbus.Models()[0])
		}
	}
	return status
}

// A progressBar is one line on a terminal that is written over and over.
type progressBar struct {
	w     io.Writer
	shown bool // there is a terminal
	width int  // of what stands there
}

func (p *progressBar) show(now bridge.ScanProgress) {
	if !p.shown {
		return
	}
	const width = 20
	full := int(now.Share() * width)
	line := fmt.Sprintf("[%s%s] %d found, about %v left; %s %s %d %s",
		strings.Repeat("#", full), strings.Repeat("-", width-full),
		len(now.Meters), (time.Duration(now.RemainingMS) * time.Millisecond).Round(time.Second), now.Pattern, now.Protocol, now.Baud, now.Parity)
	line = say(line)
	fmt.Fprintf(p.w, "\r%s", pad(line, p.width))
	p.width = columns(line)
}

func (p *progressBar) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
}
