package protocol

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Ratios are those of the transformers that a meter sits behind. What the meter measures is on their
// secondary side; what is said of it is on the primary one. The zero Ratios are those of a meter without.
type Ratios struct {
	Current, Voltage Decimal // zero: 1
}

// ParseRatio reads the ratio of a transformer: a decimal number above 0, such as 40 or 10.5.
func ParseRatio(text string) (Decimal, error) {
	d, err := ParseDecimal(text)
	if err != nil || d.Coefficient <= 0 || d.Scale > mostRatioScale || d.Coefficient > mostRatio {
		return Decimal{}, fmt.Errorf("%q is no ratio of a transformer: write a number above 0, such as 40 or 10.5", text)
	}
	return d.trimmed(), nil
}

// mostRatio and mostRatioScale bound a ratio, so that what it makes of a reading still has a place.
const (
	mostRatio      = 99_999_999
	mostRatioScale = 4
)

// trimmed returns the number without zeros at the end of its fraction.
func (d Decimal) trimmed() Decimal {
	for d.Scale > 0 && d.Coefficient%10 == 0 {
		d.Coefficient /= 10
		d.Scale--
	}
	return d
}

// Times returns the exact product. ok is false if it takes more than 18 digits.
func (d Decimal) Times(e Decimal) (product Decimal, ok bool) {
	n := new(big.Int).Mul(big.NewInt(d.Coefficient), big.NewInt(e.Coefficient))
	scale := int(d.Scale) + int(e.Scale)
	ten, rest := big.NewInt(10), new(big.Int)
	for scale > 0 && (scale > mostScale || !fits(n)) {
		quotient := new(big.Int)
		if quotient.QuoRem(n, ten, rest); rest.Sign() != 0 {
			return Decimal{}, false
		}
		n, scale = quotient, scale-1
	}
	if !fits(n) {
		return Decimal{}, false
	}
	return Decimal{n.Int64(), uint8(scale)}, true
}

// mostScale is the most digits behind the point.
const mostScale = 17

func fits(n *big.Int) bool { return n.IsInt64() && n.Int64() <= mostDigits && n.Int64() >= -mostDigits }

// dividedBy returns what was multiplied by e to give d. ok is false if that cannot be told.
func (d Decimal) dividedBy(e Decimal) (Decimal, bool) {
	if d.Coefficient%e.Coefficient != 0 || d.Scale < e.Scale {
		return d, false
	}
	return Decimal{d.Coefficient / e.Coefficient, d.Scale - e.Scale}, true
}

// one is the ratio of no transformer.
var one = Decimal{Coefficient: 1}

// of returns the factor of a value. Its product always fits: see mostRatio.
func (r Ratios) of(kind Ratio) Decimal {
	current, voltage := r.Current, r.Voltage
	if current == (Decimal{}) {
		current = one
	}
	if voltage == (Decimal{}) {
		voltage = one
	}
	switch kind {
	case RatioCurrent:
		return current
	case RatioVoltage:
		return voltage
	case RatioPower:
		product, _ := current.Times(voltage)
		return product.trimmed()
	}
	return one
}

// A FieldRatios is a [Catalogue] that knows the ratios of the fields of records, too.
type FieldRatios interface {
	// FieldRatio returns by what a field of a value that is an object must be multiplied.
	FieldRatio(name, field string) Ratio
}

// A Primary is a [Catalogue] that says everything as it is on the primary side of transformers: values,
// samples and descriptions. Parameters, and raw frames, are as the meter has them.
type Primary struct {
	Catalogue
	ratios Ratios
}

// WithRatios returns the protocol of a meter behind transformers. The error says that its meters have
// nothing that goes by them.
func WithRatios(p Protocol, r Ratios) (*Primary, error) {
	catalogue, ok := p.(Catalogue)
	if ok {
		for _, name := range catalogue.Basic() {
			if d, known := catalogue.Describe(name); known && d.Ratio != RatioNone {
				return &Primary{catalogue, r}, nil
			}
		}
	}
	return nil, errors.New("meters of protocol " + p.Name() + " measure nothing that goes by the ratios ct and pt of transformers")
}

// Ratios returns the ratios.
func (p *Primary) Ratios() Ratios { return p.ratios }

// Title returns the title of the protocol.
func (p *Primary) Title() string {
	if titled, ok := p.Catalogue.(Titled); ok {
		return titled.Title()
	}
	return p.Name()
}

// Words returns the words that the value of that name may be: transformers do not change them.
func (p *Primary) Words(name string) []Word {
	if worded, ok := p.Catalogue.(Worded); ok {
		return worded.Words(name)
	}
	return nil
}

// Describe returns what is known of an item. Digits are those of the register, which is on the secondary
// side.
func (p *Primary) Describe(name string) (ItemDescription, bool) {
	d, ok := p.Catalogue.Describe(name)
	d.Decimals += int(p.ratios.of(d.Ratio).Scale)
	return d, ok
}

// Secondary returns the reading of a register of which value was made; false if that cannot be told.
func (p *Primary) Secondary(name string, value Decimal) (Decimal, bool) {
	d, _ := p.Catalogue.Describe(name)
	return value.dividedBy(p.ratios.of(d.Ratio))
}

// OnPrimary returns what is said of a reading of the register of an item: the value itself, if there is no
// room for more.
func (p *Primary) OnPrimary(name string, secondary Decimal) Decimal {
	d, _ := p.Catalogue.Describe(name)
	if product, ok := secondary.Times(p.ratios.of(d.Ratio)); ok {
		return product
	}
	return secondary
}

// Plan plans a request, whose results are then on the primary side.
func (p *Primary) Plan(request Request, known Known) (Plan, error) {
	plan, err := p.Catalogue.Plan(request, known)
	if request.Verb == VerbRaw {
		return plan, err
	}
	return p.plan(plan), err
}

// plan makes a plan and all that follow bring values of the primary side.
func (p *Primary) plan(plan Plan) Plan {
	plan.Steps = slices.Clone(plan.Steps)
	for i := range plan.Steps {
		step := &plan.Steps[i]
		p.exchange(&step.First)
		step.Ways = slices.Clone(step.Ways)
		for k := range step.Ways {
			p.exchange(&step.Ways[k])
		}
	}
	if then := plan.Then; then != nil {
		plan.Then = func(answers []Answer) (Plan, error) {
			next, err := then(answers)
			return p.plan(next), err
		}
	}
	return plan
}

// exchange makes an exchange and all that follow bring values of the primary side.
func (p *Primary) exchange(e *Exchange) {
	take := e.Take
	if take == nil {
		return
	}
	e.Take = func(answer []byte) (*Exchange, Result, error) {
		next, result, err := take(answer)
		if next != nil {
			own := *next // which the protocol may hand out again
			p.exchange(&own)
			next = &own
		}
		if err == nil {
			err = p.result(&result)
		}
		if err != nil {
			result.Values, result.Samples = nil, nil
		}
		return next, result, err
	}
}

// result multiplies what a result brought.
func (p *Primary) result(result *Result) error {
	var err error
	if result.Values, err = p.values(result.Values); err != nil {
		return err
	}
	if result.Samples == nil {
		return nil
	}
	samples := make([]Sample, len(result.Samples))
	for i, sample := range result.Samples {
		if samples[i].Values, err = p.values(sample.Values); err != nil {
			return err
		}
		samples[i].Time = sample.Time
	}
	result.Samples = samples
	return nil
}

// values returns values multiplied; those that the protocol made are left alone.
func (p *Primary) values(values []Value) ([]Value, error) {
	if values == nil {
		return nil, nil
	}
	primary := make([]Value, len(values))
	for i, v := range values {
		d, _ := p.Catalogue.Describe(v.Name)
		data, err := p.data(v.Data, d.Ratio, v.Name)
		if err != nil {
			return nil, err
		}
		primary[i] = Value{Name: v.Name, Unit: v.Unit, Data: data}
	}
	return primary, nil
}

// data returns the data of a value multiplied, in a list or an object each number by its own ratio.
func (p *Primary) data(data any, kind Ratio, name string) (any, error) {
	switch data := data.(type) {
	case Decimal:
		product, ok := data.Times(p.ratios.of(kind))
		if !ok {
			return nil, fmt.Errorf("%w: %s is %s on the secondary side, and by the ratios more than 18 digits hold", ErrGarbled, name, data)
		}
		return product, nil
	case []any:
		list := make([]any, len(data))
		for i, entry := range data {
			var err error
			if list[i], err = p.data(entry, kind, name); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		fields, ok := p.Catalogue.(FieldRatios)
		if !ok {
			return data, nil
		}
		object := make(map[string]any, len(data))
		for key, entry := range data {
			var err error
			if object[key], err = p.data(entry, fields.FieldRatio(name, key), name); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return data, nil
}
