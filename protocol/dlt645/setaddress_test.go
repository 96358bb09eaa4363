package dlt645

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// readdress plans to give meter B the address of meter A.
func readdress(t *testing.T, v Version) protocol.Plan {
	t.Helper()
	c := command("set_address")
	c.NewAddress, c.Confirm = "000000000001", meterB
	return planned(t, v, protocol.VerbMaintenance, meterB, c)
}

// addressOf is the answer of a meter to function 13H.
func addressOf(meter string) []byte {
	return wire(meter, 0x93, address(meter).reversed()...)
}

func TestSetAddress(t *testing.T) {
	const who, give = "68 AAAAAAAAAAAA 68 13 00 DF 16", "68 AAAAAAAAAAAA 68 15 06 34 33 33 33 33 33 1A 16" // the latter is published
	const who97, give97 = "68 AAAAAAAAAAAA 68 01 02 43 C3 D5 16", "68 AAAAAAAAAAAA 68 0A 06 34 33 33 33 33 33 0F 16"
	there, done95 := addressOf(meterB), frametest.FromHex("68 010000000000 68 95 00 66 16")
	moved := value(meterA, diAddress, 1, 0, 0, 0, 0, 0)
	energy := wire(meterB, 0x81, 0x10, 0x90, 0, 0, 0, 0)
	atNew, atOld := readFrame(meterA, diAddress, V2007), readFrame(meterB, diAddress, V2007)
	for _, test := range []struct {
		name    string
		version Version
		answers [][]byte
		sent    []string
		ending  protocol.Ending
		report  string
		note    string
	}{
		{"done", V2007, [][]byte{there, there, done95, moved}, []string{who, who, give, atNew}, protocol.Acknowledged, "readable true verified true pending false", "answers as 000000000001 now. Change the address in METERS"},
		{"done, and cannot be read", V2007, [][]byte{there, there, done95}, []string{who, who, give, atNew}, protocol.Acknowledged, "readable false verified false pending false", "could not be read there"},
		{"done, and refuses to be read", V2007, [][]byte{there, there, done95, wire(meterA, 0xD1, 2)}, []string{who, who, give, atNew}, protocol.Acknowledged, "readable true verified true pending false", "METERS"},
		{"the answer is lost", V2007, [][]byte{there, there, nil, moved}, []string{who, who, give, atNew}, protocol.Unanswered, "readable true verified false pending false", "A meter answers as 000000000001 now"},
		{"it does not do it", V2007, [][]byte{there, there, nil, nil, value(meterB, diAddress, 0x23, 1, 0, 0, 0, 0)}, []string{who, who, give, atNew, atOld}, protocol.Unanswered, "readable true verified false pending false", "still answers as 000000000123: it may want its programming key"},
		{"it is gone", V2007, [][]byte{there, there}, []string{who, who, give, atNew, atOld}, protocol.Unanswered, "readable false verified false pending false", "neither as 000000000001 nor as 000000000123"},
		{"an answer from the old address is none", V2007, [][]byte{there, there, wire(meterB, 0x95)}, []string{who, who, give, atNew, atOld}, protocol.Unanswered, "readable false verified false pending false", "neither"},
		{
			"1997", V1997, [][]byte{energy, energy, wire(meterA, 0x8A), wire(meterA, 0xC1, 2)}, []string{who97, who97, give97, readFrame(meterA, diEnergy1997, V1997)}, protocol.Acknowledged,
			"readable true verified true pending false", "METERS",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := perform(t, readdress(t, test.version), time.Unix(1e9, 0), says(append([][]byte{nil, nil}, test.answers...)...))
			others := []string{who97, "68 AAAAAAAAAAAA 68 01 02 65 F3 27 16"}
			if test.version == V1997 {
				others = []string{who, readFrame("AAAAAAAAAAAA", diAddress, V2007)}
			}
			p.expect(t, append(others, test.sent...)...)
			if p.ending != test.ending || p.err != nil || summary(p.report) != test.report || !strings.Contains(p.report.Note, test.note) {
				t.Errorf("ended %d, %v: %s, notes %q", p.ending, p.err, summary(p.report), p.report.Note)
			}
			for i, step := range p.steps[2:] {
				asks := i < 2
				if step.Class != protocol.ClassCommand || asks && (!step.Repeatable || step.Key != "" || step.Meter.Text != meterB) {
					t.Errorf("step %d: %+v", i, step)
				}
			}
		})
	}
}

func TestSetAddressNotAlone(t *testing.T) {
	const other = "000000000124"
	there, another := addressOf(meterB), addressOf(other)
	garbled := slices.Clone(there)
	garbled[5] ^= 0x55
	line := slices.Concat[[]byte]
	request := frametest.FromHex("68 AAAAAAAAAAAA 68 13 00 DF 16")
	for _, test := range []struct {
		name    string
		answers [][]byte
		kind    error
		words   string // none: it is sent
	}{
		{"another meter", [][]byte{another, another}, protocol.ErrUnsafe, "meter 000000000124 answers where 000000000123 is meant"},
		{"another the second time", [][]byte{there, another}, protocol.ErrUnsafe, "meter 000000000124 answers"},
		{"one after the other", [][]byte{line(there, another), there}, protocol.ErrUnsafe, "several meters seem to answer"},
		{"the other first", [][]byte{there, line(another, there)}, protocol.ErrUnsafe, "several meters seem to answer"},
		{"a collision behind it", [][]byte{there, line(there, garbled)}, protocol.ErrUnsafe, "several meters seem to answer"},
		{"nobody", nil, protocol.ErrSilent, "asked for its own"},
		{"silent the second time", [][]byte{there}, protocol.ErrSilent, "asked for its own"},
		{"wake-up bytes, an echo and some noise", [][]byte{line(request, frametest.FromHex("FEFEFEFE"), there, frametest.FromHex("0068")), there}, nil, ""},
		{"answered twice after a late answer", [][]byte{line(there, there), there}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := perform(t, readdress(t, V2007), time.Unix(1e9, 0), says(append([][]byte{nil, nil}, test.answers...)...))
			if test.words == "" {
				if p.err != nil || p.ending == protocol.NotSent {
					t.Errorf("not sent: %v", p.err)
				}
				return
			}
			isError(t, p.err, test.kind, test.words)
			if p.ending != protocol.NotSent || len(p.sent) != 4 {
				t.Errorf("sent %v", p.sent)
			}
		})
	}
	// What the line makes of a collision, and a port that fails.
	for _, failure := range []error{protocol.ErrGarbled, errors.New("the port is gone")} {
		p := perform(t, readdress(t, V2007), time.Unix(1e9, 0), func([]byte, time.Time) ([]byte, error) { return nil, failure })
		if errors.Is(p.err, protocol.ErrUnsafe) != errors.Is(failure, protocol.ErrGarbled) || p.err == nil || p.ending != protocol.NotSent {
			t.Errorf("%v: %v", failure, p.err)
		}
	}
}

// The question who is there is not answered before the line is quiet.
func TestSetAddressWaits(t *testing.T) {
	step := onlyIts(t, readdress(t, V2007)).Steps[0]
	there := addressOf(meterB)
	if advance, token, _ := step.First.Answer(there, false); advance != 0 || token != nil {
		t.Errorf("cut %X before the line was quiet", token)
	}
	if advance, token, _ := step.First.Answer(there, true); advance != len(there) || !slices.Equal(token, there) {
		t.Errorf("cut %X when the line was quiet", token)
	}
}

// onlyIts goes on with a plan to where nobody of the other edition has answered.
func onlyIts(t *testing.T, plan protocol.Plan) protocol.Plan {
	t.Helper()
	for len(plan.Steps) == 1 {
		var err error
		if plan, err = plan.Then([]protocol.Answer{{Err: protocol.ErrSilent}}); err != nil {
			t.Fatal(err)
		}
	}
	return plan
}

// TestSetAddressBesideTheOtherEdition gives no address while a meter is there that speaks the other edition.
func TestSetAddressBesideTheOtherEdition(t *testing.T) {
	const other = "000000000124"
	energy, number, refused := wire(other, 0x81, 0x10, 0x90, 0, 0, 0, 0), wire(other, 0x81, 0x32, 0xC0, 0x24, 1, 0, 0, 0, 0), wire(other, 0xC1, 2)
	for _, test := range []struct {
		version Version
		answers [][]byte
		words   string
		sent    int
	}{
		{V2007, [][]byte{energy}, "meter 000000000124 answers to DL/T 645-1997", 1},
		{V2007, [][]byte{refused}, "meter 000000000124 answers to DL/T 645-1997", 1},
		{V2007, [][]byte{nil, number}, "meter 000000000124 answers to DL/T 645-1997", 2},
		{V1997, [][]byte{addressOf(other)}, "meter 000000000124 answers to DL/T 645-2007", 1},
		{V1997, [][]byte{nil, wire(other, 0xD1, 2)}, "meter 000000000124 answers to DL/T 645-2007", 2},
	} {
		p := perform(t, readdress(t, test.version), time.Unix(1e9, 0), says(test.answers...))
		isError(t, p.err, protocol.ErrUnsafe, test.words)
		if p.ending != protocol.NotSent || len(p.sent) != test.sent {
			t.Errorf("%s: sent %v", test.version, p.sent)
		}
	}
	p := perform(t, readdress(t, V2007), time.Unix(1e9, 0), func([]byte, time.Time) ([]byte, error) { return nil, protocol.ErrGarbled })
	isError(t, p.err, protocol.ErrUnsafe, "something answers when meters of DL/T 645-1997 are asked for")
}

func TestSetAddressErrors(t *testing.T) {
	for _, test := range []struct {
		version Version
		next    string
		change  func(*order)
		words   string
	}{
		{V2007, "", nil, "the new address"},
		{V2007, "12A", nil, "the new address"},
		{V2007, "999999999999", nil, "cannot be the address of a meter"},
		{V2007, "AAAAAAAAAA01", nil, "cannot be the address of a meter"},
		{V1997, "AAAAAAAAAAAA", nil, "cannot be the address of a meter"},
		{V2007, "123", nil, "has that address"},
		{V2007, "124", func(c *order) { c.Confirm = "124" }, "meter 000000000123 is meant"},
	} {
		c := command("set_address")
		c.NewAddress, c.Confirm = test.next, meterB
		if test.change != nil {
			test.change(&c)
		}
		_, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbMaintenance, Address: meterAt(meterB), Command: c.command()}, nil)
		t.Run(test.next, func(t *testing.T) { isError(t, err, protocol.ErrBadRequest, test.words) })
	}
}

// TestSetAddressTakesItsTimeToLook wants each question that is asked before the address is given to have its time
// for itself, and the command not to.
func TestSetAddressTakesItsTimeToLook(t *testing.T) {
	for _, version := range []Version{V2007, V1997} {
		plan, questions := readdress(t, version), 0
		for slices.ContainsFunc(plan.Steps, func(step protocol.Step) bool { return step.Repeatable }) {
			if !plan.Prelude {
				t.Errorf("%s: question %d has no time for itself", version, questions)
			}
			questions += len(plan.Steps)
			answers := []protocol.Answer{{Err: protocol.ErrSilent}}
			if len(plan.Steps) == 2 {
				there := protocol.Answer{Result: protocol.Result{Address: meterAt(meterB)}}
				answers = []protocol.Answer{there, there}
			}
			var err error
			if plan, err = plan.Then(answers); err != nil {
				t.Fatal(err)
			}
		}
		if questions != 4 || len(plan.Steps) != 1 || !plan.Steps[0].IsCommand() || plan.Prelude {
			t.Errorf("%s: after %d questions %+v", version, questions, plan)
		}
	}
}
