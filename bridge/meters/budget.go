package meters

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A Budget is what a point table takes of the wire.
type Budget struct {
	Baud   int           // speed of the line
	Share  float64       // of the wire's time, if meters that nothing was learned of begin to answer at once; 1 is all of it
	Worst  float64       // if these take as long as they may
	Rounds []BudgetRound // in the order of the table
}

// A BudgetRound is what is read at one interval of one meter.
type BudgetRound struct {
	Meter    string
	Interval time.Duration
	Reads    []BudgetRead
	Wire     time.Duration // that all reads take, at best
	Begin    time.Duration // that the meter takes to begin its slowest answer, as far as Wire counts with it
	Guessed  bool          // nothing was learned of the meter: Begin is the quickest that there is
}

// A BudgetRead is one exchange with the meter.
type BudgetRead struct {
	Block string   // the identifier of the block that is read, if it is one
	Items []string // the points that it brings
}

// Budget plans the rounds of a table and adds up what they take. Errors are those of the
// protocol's plans.
func (k *Keeper) Budget(t *points.Table) (Budget, error) {
	mode, _ := k.bus.Mode()
	budget := Budget{Baud: mode.Baud}
	at := map[roundKey]int{}
	var items [][]string
	for _, p := range t.Points {
		key := roundKey{p.Meter, p.Interval}
		i, ok := at[key]
		if !ok {
			i = len(items)
			at[key] = i
			items = append(items, nil)
			budget.Rounds = append(budget.Rounds, BudgetRound{Meter: p.Meter, Interval: p.Interval})
		}
		items[i] = append(items[i], p.Item)
	}
	for i := range budget.Rounds {
		r := &budget.Rounds[i]
		steps, err := k.stepsOf(r.Meter, items[i])
		if err != nil {
			return Budget{}, fmt.Errorf("%s every %v: %w", r.Meter, r.Interval, err)
		}
		for _, step := range steps {
			r.Reads = append(r.Reads, BudgetRead{Block: step.Block, Items: step.Items})
		}
		r.Wire, r.Begin, r.Guessed = k.bus.Cost(steps, false)
		budget.Share += r.share()
		worst, _, _ := k.bus.Cost(steps, true)
		budget.Worst += worst.Seconds() / r.Interval.Seconds()
	}
	return budget, nil
}

// stepsOf plans what is read of a meter. A meter whose address is not known yet is taken for
// any other.
func (k *Keeper) stepsOf(name string, items []string) ([]protocol.Step, error) {
	m, address, spoken, err := k.directory.Find(name)
	if err == nil && address.Shared {
		_, example := spoken.AddressForm()
		address, err = spoken.ParseAddress(example)
	}
	if err != nil {
		return nil, err
	}
	plan, err := spoken.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassPoll, Address: address, Items: items}, k.bus.Meter(address.MeterKey))
	if m != nil {
		SetMode(plan.Steps, m.Mode)
	}
	return plan.Steps, err
}

// Err is nil if the wire can carry the table, else it tells the numbers.
func (b Budget) Err() error {
	if b.Share <= 1 {
		return nil
	}
	most := slices.MaxFunc(b.Rounds, func(r, s BudgetRound) int { return cmp.Compare(r.share(), s.share()) })
	begin := fmt.Sprintf("even if it begins each answer within %v, the least that the standard asks for", most.Begin)
	if !most.Guessed {
		begin = fmt.Sprintf("where it begins its answers within %v, the median of its latest ones", most.Begin.Round(time.Millisecond))
	}
	return fmt.Errorf("the table would take %s of the wire's time at %d baud; most of it, %s, takes %s every %v (%d reads, %v on the wire, %s): poll less often, leave points out, or raise the speed of the bus",
		Percent(b.Share), b.Baud, Percent(most.share()), most.Meter, most.Interval, len(most.Reads), most.Wire.Round(time.Millisecond), begin)
}

func (r *BudgetRound) share() float64 { return r.Wire.Seconds() / r.Interval.Seconds() }

// Percent writes a share for people.
func Percent(share float64) string {
	if share < 0.1 {
		return fmt.Sprintf("%.1f %%", 100*share)
	}
	return fmt.Sprintf("%.0f %%", math.Ceil(100*share))
}
