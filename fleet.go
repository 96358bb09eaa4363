package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/fleet"
)

const (
	fleetHelp = `Sees the bridges at the broker of DLT645_MQTT_URL, and asks many of them the same. It is an MQTT client as any other: the
broker's access list says what it may, and nothing is kept.

list prints a line for each bridge, as it stands on bridge/status and bridge/info.
ask reads items of a meter at each bridge; METER all is each of its named meters.
push gives each bridge the point table FILE, or the words basic or off; FILE - is standard input. First each bridge says what
the table would be to it (dry_run), and without -apply that is all. If one of them cannot take it, none gets it. Bridges whose
table is the same already are left alone. The class config must be allowed there (DLT645_ALLOW).

Exit 1 if a bridge is missing, does not answer or refuses. Commands to meters go to one meter at a time, by other means.`

	mostFleetAtOnce = 1000
)

// A fleetRun is one run of the command fleet.
type fleetRun struct {
	*fleet.Fleet
	roots       []string
	wait        time.Duration
	atOnce      int
	asJSON      bool
	out, stderr io.Writer
}

func runFleet(ctx context.Context, arguments []string, in io.Reader, out, stderr io.Writer) int {
	flags := newFlags("fleet", "list | ask METER ITEM… | push FILE", fleetHelp, stderr)
	roots := flags.String("roots", "+,+/+", "`roots` of the bridges, by commas; + is any name; @FILE has one in each line")
	account := flags.String("account", "", "`name` under which replies come, {root}/reply/NAME/…; DLT645_MQTT_USERNAME if not set, or else fleet")
	wait := flags.Duration("wait", 30*time.Second, "how `long` each bridge, and the broker, may take to answer")
	atOnce := flags.Uint("at-once", 50, "how `many` bridges are asked at a time")
	listen := flags.Duration("listen", 0, "how `long` to listen to bridges that seem offline, where nodes of a cluster do not keep the same")
	asJSON := flags.Bool("json", false, "print a JSON object for each bridge or reply")
	apply := flags.Bool("apply", false, "push: give them the table if all can take it")
	label := flags.String("version", "", "push: `text` that bridge/config then shows as the version of the table")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	if !slices.Contains([]string{"list", "ask", "push"}, append(words, "")[0]) || words[0] == "list" && len(words) > 1 || words[0] == "ask" && len(words) < 3 || words[0] == "push" && len(words) != 2 {
		flags.Usage()
		return 2
	}
	if words[0] == "ask" && !isMeterWord(words[1]) {
		complain(stderr, "fleet ask", fmt.Errorf("%q is neither the name of a meter nor an address", words[1]))
		return 2
	}
	if *wait <= 0 || *atOnce == 0 || *atOnce > mostFleetAtOnce {
		complain(stderr, "fleet", fmt.Errorf("-wait is longer than 0s, and -at-once from 1 to %d", mostFleetAtOnce))
		return 2
	}
	config, err := fleetConfig(*roots, *account, stderr)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	config.Listen = *listen
	var table string
	if words[0] == "push" {
		if table, err = readTable(words[1], in); err != nil {
			complain(stderr, "fleet push", err)
			return 1
		}
	}
	opening, cancel := context.WithTimeout(ctx, *wait)
	f, err := fleet.Open(opening, config)
	cancel()
	if err != nil {
		complain(stderr, "fleet", err)
		return 1
	}
	defer f.Close()
	r := fleetRun{f, config.Roots, *wait, int(*atOnce), *asJSON, out, stderr}
	looking, cancel := context.WithTimeout(ctx, max(*wait, *listen))
	bridges := f.Bridges(looking)
	cancel()
	if len(bridges) == 0 {
		complain(stderr, "fleet", fmt.Errorf("no bridge is seen under %s: the account must be allowed to read bridge/status and bridge/info there; RabbitMQ sends nothing retained to filters, so name the roots (-roots)", *roots))
		return 1
	}
	var all bool
	switch words[0] {
	case "list":
		all = r.list(bridges)
	case "ask":
		all = r.ask(ctx, bridges, words[1], words[2:])
	default:
		all = r.push(ctx, bridges, table, *label, *apply)
	}
	if !all {
		return 1
	}
	return 0
}

// fleetConfig reads where the broker is. The bridge's other variables have no say.
func fleetConfig(roots, account string, stderr io.Writer) (fleet.Config, error) {
	r := configReader{environment: readEnvironment()}
	c := config{root: "fleet"}
	r.checkNames()
	r.readBroker(&c)
	if c.embedded != "" {
		r.complain("MQTT_URL", "the fleet brings no broker of its own: name the one that the bridges use")
	}
	f := fleet.Config{Broker: c.broker, Account: cmp.Or(account, c.broker.Username, "fleet"), Log: newLog(stderr, "text", slog.LevelWarn)}
	if !isTopic(f.Account) || strings.Contains(f.Account, "/") {
		r.complaints = append(r.complaints, fmt.Errorf("-account: %q cannot be a part of a topic: say under which name replies come", f.Account))
	}
	if file, ok := strings.CutPrefix(roots, "@"); ok {
		text, err := os.ReadFile(file)
		if err != nil {
			r.complaints = append(r.complaints, fmt.Errorf("-roots: %w", err))
		}
		roots = strings.Join(strings.Split(strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff")), "\n"), ",")
	}
	for root := range strings.SplitSeq(roots, ",") {
		switch root = strings.TrimSpace(root); {
		case root == "" || slices.Contains(f.Roots, root):
		case !isFilter(root):
			r.complaints = append(r.complaints, fmt.Errorf("-roots: %q is no topic root, nor a filter such as + and north/+", root))
		default:
			f.Roots = append(f.Roots, root)
		}
	}
	if len(f.Roots) == 0 {
		r.complaints = append(r.complaints, errors.New("-roots: names no root"))
	}
	return f, errors.Join(r.complaints...)
}

// isFilter reports whether a text is a topic root, or one with + in place of whole names.
func isFilter(text string) bool {
	names := strings.Split(text, "/")
	for i, name := range names {
		if name == "+" {
			names[i] = "x"
		}
	}
	return isTopic(strings.Join(names, "/"))
}

// isMeterWord reports whether a text may stand for a meter in the topic of a request: a broker ends the connection over
// which it is sent a wildcard.
func isMeterWord(text string) bool {
	return text != "" && isTopic(text) && !strings.Contains(text, "/")
}

// readTable returns the table that a word names.
func readTable(word string, in io.Reader) (string, error) {
	if word == points.BasicText || word == points.OffText {
		return word, nil
	}
	data, err := readInput(word, in)
	if err != nil {
		return "", err
	}
	text, err := points.Decode(data)
	if err == nil && strings.TrimSpace(text) == "" {
		err = fmt.Errorf("%s is empty", word)
	}
	return text, err
}

// A fleetTable gathers rows, whose cells stand apart by tabs, to be printed in columns.
type fleetTable struct {
	out  io.Writer
	rows [][]string
}

// table begins a table with its header, unless JSON is wanted.
func (r *fleetRun) table(header string) *fleetTable {
	t := &fleetTable{out: r.out}
	if !r.asJSON {
		t.rows = append(t.rows, strings.Split(say(header), "\t"))
	}
	return t
}

// add adds a row. What bridges say of themselves is shown without characters that would do something to a terminal.
func (t *fleetTable) add(format string, cells ...any) {
	for i, cell := range cells {
		if text, ok := cell.(string); ok {
			cells[i] = strings.Map(func(r rune) rune {
				if unicode.IsGraphic(r) {
					return r
				}
				return unicode.ReplacementChar
			}, text)
		}
	}
	t.rows = append(t.rows, strings.Split(fmt.Sprintf(format, cells...), "\t"))
}

// print prints what was added.
func (t *fleetTable) print() { printColumns(t.out, t.rows...) }

// print prints one JSON object.
func (r *fleetRun) print(object any) {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // made of texts and of what was JSON before
	}
	fmt.Fprintf(r.out, "%s\n", text)
}

// list prints the bridges, and reports whether all are online.
func (r *fleetRun) list(bridges []fleet.Bridge) (all bool) {
	all = true
	w := r.table("ROOT\tSTATUS\tSITE\tHOST\tVERSION\tBUS\tMETERS\tTABLE\tERRORS\tSTARTED")
	for _, b := range bridges {
		all = all && b.Online
		if r.asJSON {
			r.print(struct {
				Root   string          `json:"root"`
				Online bool            `json:"online"`
				Info   json.RawMessage `json:"info"`
			}{b.Root, b.Online, b.Raw})
			continue
		}
		status := map[bool]string{true: "online", false: "offline"}[b.Online]
		if b.Info == nil {
			w.add("%s\t%s\t-\t-\t-\t-\t-\t-\t-\t-", b.Root, status)
			continue
		}
		i := b.Info
		w.add("%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\t%d\t%s", b.Root, status, cmp.Or(i.Site, "-"), i.Host, i.Version, i.Bus.State,
			i.OnlineMeters(), len(i.Meters), shortHash(i.Table), i.Counters.Errors, i.Started.Local().Format("2006-01-02 15:04"))
	}
	w.print()
	return all
}

// shortHash is enough of a hash to tell tables apart by eye.
func shortHash(hash string) string { return hash[:min(8, len(hash))] }

// A fleetReply is what is looked at in a reply.
type fleetReply struct {
	OK     bool                       `json:"ok"`
	Values map[string]json.RawMessage `json:"values"`
	Units  map[string]string          `json:"units"`
	Errors map[string]fleetProblem    `json:"errors"`
	Error  *fleetProblem              `json:"error"`

	Changed bool    `json:"changed"`
	Points  int     `json:"points"`
	Hash    string  `json:"hash"`
	Budget  float64 `json:"budget"`
	Worst   float64 `json:"budget_worst"`
}

type fleetProblem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Rows    []struct {
		Row     int    `json:"row"`
		Message string `json:"message"`
	} `json:"rows"`
}

// String is the problem in one line.
func (p *fleetProblem) String() string {
	var text strings.Builder
	text.WriteString(p.Code + ": " + p.Message)
	for _, row := range p.Rows {
		fmt.Fprintf(&text, "; row %d: %s", row.Row, row.Message)
	}
	return text.String()
}

// A fleetQuestion goes to one bridge.
type fleetQuestion struct{ root, meter, tail string }

// A fleetAnswer is a reply, or why there is none.
type fleetAnswer struct {
	raw   json.RawMessage
	reply fleetReply
	err   error
}

// problem says what is wrong with an answer as a whole; empty: nothing.
func (a *fleetAnswer) problem() string {
	switch {
	case a.err != nil:
		return a.err.Error()
	case a.reply.Error != nil:
		return a.reply.Error.String()
	}
	return ""
}

// askAll asks questions, so many at a time, and returns the answers in their order.
func (r *fleetRun) askAll(ctx context.Context, questions []fleetQuestion, payload any) []fleetAnswer {
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err) // it is made of texts
	}
	answers := make([]fleetAnswer, len(questions))
	fleet.Each(questions, r.atOnce, func(i int, q fleetQuestion) {
		asking, cancel := context.WithTimeout(ctx, r.wait)
		defer cancel()
		a := &answers[i]
		if a.raw, a.err = r.Ask(asking, q.root, q.tail, text); a.err != nil {
			return
		}
		if err := json.Unmarshal(a.raw, &a.reply); err != nil {
			a.err = fmt.Errorf("the answer cannot be read: %w", err)
		}
	})
	return answers
}

// ask reads items of a meter of each bridge, and reports whether all have come.
func (r *fleetRun) ask(ctx context.Context, bridges []fleet.Bridge, meter string, items []string) (all bool) {
	var questions []fleetQuestion
	all = true
	for _, b := range bridges {
		switch {
		case !b.Online:
			all = false
			sayf(r.stderr, "%s is offline and was not asked\n", b.Root)
		case meter != "all":
			questions = append(questions, fleetQuestion{b.Root, meter, "read/" + meter})
		case b.Info == nil:
			all = false
			sayf(r.stderr, "%s has not said which meters it has (bridge/info), and was not asked\n", b.Root)
		default:
			for _, m := range b.Info.Meters {
				if !isMeterWord(m.Name) {
					all = false
					sayf(r.stderr, "%s says that it has a meter %q, which is no name of one, and was not asked for it\n", b.Root, m.Name)
					continue
				}
				questions = append(questions, fleetQuestion{b.Root, m.Name, "read/" + m.Name})
			}
		}
	}
	answers := r.askAll(ctx, questions, map[string]any{"items": items})
	w := r.table("ROOT\tMETER\tITEM\tVALUE\tUNIT")
	for i, q := range questions {
		a := &answers[i]
		problem := a.problem()
		all = all && problem == "" && a.reply.OK
		switch {
		case r.asJSON:
			object := struct {
				Root  string          `json:"root"`
				Meter string          `json:"meter"`
				Reply json.RawMessage `json:"reply"`
				Error string          `json:"error,omitempty"`
			}{Root: q.root, Meter: q.meter, Reply: a.raw}
			if a.err != nil {
				object.Reply, object.Error = nil, a.err.Error()
			}
			r.print(object)
			continue
		case problem != "":
			w.add("%s\t%s\t-\t%s\t", q.root, q.meter, say(problem))
			continue
		}
		for _, item := range slices.Sorted(maps.Keys(a.reply.Values)) {
			w.add("%s\t%s\t%s\t%s\t%s", q.root, q.meter, item, string(a.reply.Values[item]), a.reply.Units[item])
		}
		for _, item := range slices.Sorted(maps.Keys(a.reply.Errors)) {
			problem := a.reply.Errors[item]
			w.add("%s\t%s\t%s\t%s\t", q.root, q.meter, item, say(problem.String()))
		}
	}
	w.print()
	return all
}

// push gives the bridges a point table if all can take it, and reports whether all have it now, or would take it.
func (r *fleetRun) push(ctx context.Context, bridges []fleet.Bridge, table, label string, apply bool) (all bool) {
	var questions []fleetQuestion
	all = true
	for _, b := range bridges {
		if !b.Online {
			all = false
			sayf(r.stderr, "%s is offline\n", b.Root)
			continue
		}
		questions = append(questions, fleetQuestion{root: b.Root, tail: "config"})
	}
	payload := map[string]any{"csv": table, "dry_run": true}
	if label != "" {
		payload["version"] = label
	}
	answers := r.askAll(ctx, questions, payload)
	var differ []fleetQuestion
	for i := range answers {
		all = all && answers[i].problem() == ""
		if answers[i].reply.Changed {
			differ = append(differ, questions[i])
		}
	}
	r.report(questions, answers, map[bool]string{true: "would change", false: "the same"})
	switch {
	case !all:
		sayf(r.stderr, "nothing was changed: not all bridges can take this table; name those that shall have it (-roots)\n")
		return false
	case !apply:
		sayf(r.stderr, "nothing was changed: %d of %d bridges would get another table with -apply\n", len(differ), len(questions))
		return true
	case len(differ) == 0:
		sayf(r.stderr, "nothing was changed: all have this table\n")
		return true
	}
	delete(payload, "dry_run")
	answers = r.askAll(ctx, differ, payload)
	changed := 0
	for i := range answers {
		if answers[i].problem() == "" {
			changed++
		}
	}
	r.report(differ, answers, map[bool]string{true: "changed", false: "the same"})
	sayf(r.stderr, "%d of %d bridges have the table now\n", len(questions)-len(differ)+changed, len(questions))
	return changed == len(differ)
}

// report prints what bridges say of a point table.
func (r *fleetRun) report(questions []fleetQuestion, answers []fleetAnswer, words map[bool]string) {
	w := r.table("ROOT\tTABLE\tPOINTS\tWIRE\tAT WORST\tHASH")
	for i, q := range questions {
		a := &answers[i]
		switch problem := a.problem(); {
		case r.asJSON:
			object := struct {
				Root  string          `json:"root"`
				Reply json.RawMessage `json:"reply"`
				Error string          `json:"error,omitempty"`
			}{Root: q.root, Reply: a.raw}
			if a.err != nil {
				object.Reply, object.Error = nil, a.err.Error()
			}
			r.print(object)
		case problem != "":
			w.add("%s\t%s\t\t\t\t", q.root, say(problem))
		default:
			w.add("%s\t%s\t%d\t%.1f %%\t%.1f %%\t%s", q.root, say(words[a.reply.Changed]), a.reply.Points, 100*a.reply.Budget, 100*a.reply.Worst, shortHash(a.reply.Hash))
		}
	}
	w.print()
}
