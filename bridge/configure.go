package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
)

const (
	mostProblems = 100 // of a table are told in a reply
	mostConfigs  = 4   // may be in hand at once
	mostVersion  = 128 // bytes of the version that a table's sender gives it
)

// A configuration is what the reply to a config request says beside the usual.
type configuration struct {
	Changed     bool          `json:"changed"` // the table differs, or would, from the one before
	Points      int           `json:"points"`
	Hash        string        `json:"hash"`
	Budget      float64       `json:"budget"`       // share of the wire
	BudgetWorst float64       `json:"budget_worst"` // if meters not known yet answer as late as they may
	Plan        []plannedRead `json:"plan,omitempty"`
	CSV         *string       `json:"csv,omitempty"` // the table itself; with the plan
}

// A plannedRead is one exchange of a round, as a dry run shows it.
type plannedRead struct {
	Meter    string   `json:"meter"`
	Interval string   `json:"interval"`
	Items    []string `json:"items"`
	Block    string   `json:"block,omitempty"`
}

// A keptTable is what bridge/config says: the table in force, if it came by MQTT.
type keptTable struct {
	Time     string `json:"time"`
	Hash     string `json:"hash"`
	FileHash string `json:"file_hash"` // of the table of the configuration that it replaced
	Version  string `json:"version,omitempty"`
	Points   int    `json:"points"`
	CSV      string `json:"csv"`
}

// configKeys is what the body of a config request says.
type configKeys struct {
	table   *points.Table // nil: back to the file
	version string
	dryRun  bool
}

// configure answers the verb config: it puts another point table in force, all of it or nothing.
func (b *Bridge) configure(r *request, in *body) error {
	if r.target != "" {
		return problemf(CodeBadRequest, "a config request goes to %s: it is about all meters", b.topics.join("request/config"))
	}
	if !b.config.Allow[verbConfig] {
		return notAllowed(verbConfig)
	}
	if r.expired() {
		return bus.ErrExpired
	}
	if b.configs.Add(1) > mostConfigs { // tables are large, and take their time to be read
		b.configs.Add(-1)
		return problemf(CodeBusy, "%d point tables are being read already", mostConfigs)
	}
	b.later(func() {
		a, err := b.reconfigure(r, in)
		b.configs.Add(-1) // whoever has the reply may send the next one
		if err != nil {
			b.fail(r, err)
			return
		}
		b.send(r, a)
	})
	return nil
}

func (b *Bridge) reconfigure(r *request, in *body) (*reply, error) {
	b.keeper.Configuring.Lock()
	defer b.keeper.Configuring.Unlock()
	keys, err := b.configKeys(r, in)
	if err != nil {
		return nil, tableProblem(err)
	}
	table := keys.table
	if table == nil {
		table = b.fileTable()
	}
	budget, err := b.keeper.Budget(table)
	if err != nil {
		return nil, err
	}
	if keys.table != nil {
		if err := budget.Err(); err != nil {
			return nil, problemf(CodeBadRequest, "%v", err)
		}
	}
	a := b.newReply(r)
	a.configuration = &configuration{
		Changed: table.Text != b.keeper.Table().Text, Points: len(table.Points), Hash: table.Hash(),
		Budget: share(budget.Share), BudgetWorst: share(budget.Worst),
	}
	kept := b.keptTable(keys.table, keys.version)
	if kept.Size() > maxConfigPayload {
		return nil, problemf(CodeBadRequest, "the table has %d bytes as it would stand on %s; the broker could not give back more than %d", kept.Size(), kept.Topic, maxConfigPayload)
	}
	if keys.dryRun {
		for _, round := range budget.Rounds {
			for _, read := range round.Reads {
				a.Plan = append(a.Plan, plannedRead{round.Meter, round.Interval.String(), read.Items, read.Block})
			}
		}
		a.CSV = &table.Text
		return a, nil
	}
	b.keeper.Restored.Store(true) // what the broker keeps is older
	b.outbox.Put(kept)
	b.keeper.SetTable(table)
	b.keeper.Begin()
	b.log.Info("another point table is in force", "points", len(table.Points), "hash", table.Hash(), "version", keys.version, "from_file", keys.table == nil)
	return a, nil
}

// share rounds for people.
func share(s float64) float64 { return math.Round(s*10_000) / 10_000 }

// fileTable is the table that the bridge was started with.
func (b *Bridge) fileTable() *points.Table {
	if b.config.Points == nil {
		return &points.Table{Text: points.OffText}
	}
	return b.config.Points
}

// keptTable is the message that has the broker keep a table that came by MQTT; of nil, the one
// that takes back what it keeps.
func (b *Bridge) keptTable(t *points.Table, version string) mqtt.Outgoing {
	m := mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.join(topicConfig), ContentType: mqtt.JSON}
	if t != nil {
		m.Payload, _ = encodeJSON(keptTable{ // nothing but strings
			Time: b.stamp(time.Now()), Hash: t.Hash(), FileHash: b.fileTable().Hash(), Version: version, Points: len(t.Points), CSV: t.Text,
		})
	}
	return m
}

// configKeys takes the table out of either form: CSV, or JSON.
func (b *Bridge) configKeys(r *request, in *body) (keys configKeys, err error) {
	site := meters.Site(b.config.Meters, b.config.Protocol)
	if in.members == nil {
		if len(bytes.TrimSpace(r.payload)) > 0 {
			keys.table, err = points.Parse(r.payload, site)
		}
		return keys, err
	}
	var list json.RawMessage
	csv := ""
	inJSON, err := in.decode("points", "an array of points", &list)
	if err != nil {
		return keys, err
	}
	inCSV, err := in.decode("csv", "a point table as a string", &csv)
	if err != nil {
		return keys, err
	}
	if _, err := in.decode("dry_run", "true or false", &keys.dryRun); err != nil {
		return keys, err
	}
	if _, err := in.decode("version", "a string", &keys.version); err != nil {
		return keys, err
	}
	if err := in.nothingLeft(r); err != nil {
		return keys, err
	}
	switch {
	case len(keys.version) > mostVersion:
		return keys, problemf(CodeBadRequest, `"version" has %d bytes; at most %d are allowed`, len(keys.version), mostVersion)
	case inJSON && inCSV:
		return keys, problemf(CodeBadRequest, `the table stands either in "points" or in "csv"`)
	case inJSON:
		keys.table, err = points.ParseJSON(list, site)
	case inCSV:
		keys.table, err = points.Parse([]byte(csv), site)
	case !keys.dryRun || keys.version != "":
		return keys, problemf(CodeBadRequest, `the body has neither "points" nor "csv"; an empty body goes back to the table of DLT645_POINTS`)
	}
	return keys, err
}

// tableProblem makes an error for the sender of what is wrong with a table.
func tableProblem(err error) error {
	var problems points.Problems
	if !errors.As(err, &problems) {
		return err
	}
	p := problemf(CodeBadRequest, "%d things are wrong with the table, and nothing of it was taken; the first: %v", len(problems), problems[0])
	if len(problems) == 1 {
		p.Message = "something is wrong with the table, and nothing of it was taken: " + problems[0].String()
	}
	p.Rows = problems[:min(len(problems), mostProblems)]
	return p
}

// restore puts the table in force that the broker has kept from an earlier run, unless the class
// config is not allowed any more, or the file has changed since: then it is newer.
func (b *Bridge) restore(payload []byte) {
	b.keeper.Configuring.Lock()
	defer b.keeper.Configuring.Unlock()
	if b.keeper.Restored.Swap(true) && b.config.Allow[verbConfig] || len(payload) == 0 {
		return
	}
	defer b.keeper.Begin()
	table, err := b.kept(payload)
	if err != nil {
		b.log.Warn("the point table that came by MQTT is given up, and that of DLT645_POINTS holds", "why", err)
		b.outbox.Put(b.keptTable(nil, ""))
		return
	}
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.join(topicConfig), Payload: payload, ContentType: mqtt.JSON})
	b.keeper.SetTable(table)
	b.log.Info("the point table that came by MQTT in an earlier run is in force again", "points", len(table.Points), "hash", table.Hash())
}

// kept reads the table that the broker has kept.
func (b *Bridge) kept(payload []byte) (*points.Table, error) {
	if !b.config.Allow[verbConfig] {
		return nil, errors.New("DLT645_ALLOW does not have the class config any more")
	}
	var k keptTable
	if err := json.Unmarshal(payload, &k); err != nil {
		return nil, errors.New("what stands on bridge/config is no JSON that this bridge has written")
	}
	if k.FileHash != b.fileTable().Hash() {
		return nil, errors.New("DLT645_POINTS, or the file that it names, has changed since")
	}
	table, err := points.Parse([]byte(k.CSV), meters.Site(b.config.Meters, b.config.Protocol))
	if err != nil {
		return nil, err
	}
	if table.Hash() != k.Hash {
		return nil, errors.New("its hash is not that of its text")
	}
	budget, err := b.keeper.Budget(table)
	if err != nil {
		return nil, err
	}
	return table, budget.Err()
}
