package dlt645

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestEncodingIsUndone encodes values of every item and reads them back: none, zeros, the
// greatest and the least that there is room for, and whatever chance brings. What cannot be
// encoded at all are flags and weekdays: they follow from the word and the date beside them.
func TestEncodingIsUndone(t *testing.T) {
	eachEdition(t, func(t *testing.T, d *Dictionary) {
		for n, e := range d.entries {
			f := e.family()
			chance := rand.New(rand.NewPCG(645, uint64(n)))
			for k, item := range everyItem(f) {
				choosers := []chooser{chance.Int64N, nothing, zero, greatest, least}
				if k > 0 {
					choosers = choosers[:1] // the forms of the family have been through all
				}
				for _, choose := range choosers {
					want := sample(item, choose)
					data, err := item.Append(nil, want, shanghai)
					if err != nil {
						t.Errorf("%s takes no %v: %v", item.Name, want, err)
						continue
					}
					size := item.Size()
					for k := range f.fields {
						if f.fields[k].optional {
							size += f.fields[k].size()
						}
					}
					if size > 0 && len(data) != size {
						t.Errorf("%s of %v has %d bytes, want %d", item.Name, want, len(data), size)
					}
					values, err := item.Decode(data, shanghai)
					if err != nil {
						t.Errorf("%s encodes %v as %X: %v", item.Name, want, data, err)
						continue
					}
					checkNames(t, item, values)
					got := encodable(values)
					for name := range want {
						if value, ok := got[name]; !ok || !equalData(value, want[name]) {
							t.Errorf("%s: %s is %v, encoded %X, which is %v", item.Name, name, want[name], data, value)
						}
					}
					if len(got) > len(want) {
						t.Errorf("%s encodes %v as %X, which is %v", item.Name, want, data, got)
					}
				}
			}
		}
	})
}

// checkNames reports whether the values have the names that were announced, in their order.
func checkNames(t *testing.T, item Item, values []protocol.Value) {
	t.Helper()
	names := item.Names()
	for _, value := range values {
		at := slices.Index(names, value.Name)
		if at < 0 {
			t.Errorf("%s brings %s, which is not among %v, or not in this order", item.Name, value.Name, item.Names())
			return
		}
		names = names[at+1:]
	}
}

// A chooser picks a number from 0 to n-1, of n = 2 whether a number is negative. Without
// one there is no value.
type chooser func(n int64) int64

var nothing chooser

func zero(int64) int64    { return 0 }
func least(n int64) int64 { return n - 1 }

func greatest(n int64) int64 {
	if n == 2 {
		return 0
	}
	return n - 1
}

// sample makes values for all that the item has.
func sample(item Item, choose chooser) map[string]any {
	values := make(map[string]any)
	f := item.family
	switch codec := f.codec.(type) {
	case *concatenation:
		parts, _ := codec.items(item)
		for _, part := range parts {
			maps.Copy(values, sample(part, choose))
		}
		if codec.moment {
			values[item.Name] = nil
			if date, ok := values[parts[0].Name].(string); ok {
				values[item.Name] = fmt.Sprintf("%sT%s+08:00", date, values[parts[1].Name])
			}
		}
		return values
	case activeReport:
		values[item.Name] = sampleField(&form{picture: codec.word}, choose)
		values[countsName(item)] = []any{}
		if choose != nil {
			values[countsName(item)] = sampleField(&form{picture: Picture{text: "NN", digits: 2, size: 1}, repeat: 8 * reportSize}, choose)
		}
		return values
	case loadRecord:
		values[item.Name] = sampleLoad(codec, choose)
		return values
	}
	for at := range item.members() {
		for k := range f.fields {
			form, _ := f.form(k, at)
			values[f.nameAt(k, at)] = sampleField(form, choose)
		}
	}
	return values
}

// sampleLoad makes three blocks of a load record, in which classes are missing by chance.
func sampleLoad(l loadRecord, choose chooser) []any {
	samples := []any{}
	for range 3 {
		if choose == nil {
			break
		}
		values, units := make(map[string]any), make(map[string]any)
		for _, class := range l.classes {
			if choose(4) == 2 {
				continue
			}
			for _, field := range class {
				values[field.key] = sampleField(&field.form, choose)
				if field.unit != "" {
					units[field.key] = field.unit
				}
			}
		}
		samples = append(samples, map[string]any{"time": sampleField(&form{picture: loadTime}, choose), "values": values, "units": units})
	}
	return samples
}

func sampleField(f *form, choose chooser) any {
	switch {
	case f.repeat > 0:
		list := make([]any, f.repeat)
		for i := range list {
			list[i] = sampleField(&form{picture: f.picture, record: f.record}, choose)
		}
		return list
	case f.record != nil:
		object := make(map[string]any)
		for i := range f.record {
			object[f.record[i].key] = sampleField(&f.record[i].form, choose)
		}
		return object
	}
	return samplePicture(f.picture, choose)
}

func samplePicture(p Picture, choose chooser) any {
	if choose == nil {
		if p.kind == bits && p.size == 1 {
			return "FF" // here it has every bit set
		}
		return nil
	}
	limit := int64(1)
	for range p.digits {
		limit *= 10
	}
	switch p.kind {
	case number:
		if p.signed && p.digits%2 == 0 {
			limit = limit / 10 * 8
		}
		d := protocol.Decimal{Coefficient: choose(limit), Scale: p.scale}
		if p.signed && choose(2) == 1 {
			d.Coefficient = -d.Coefficient
		}
		return d
	case identification:
		return fmt.Sprintf("%0*d", p.digits, choose(limit))
	case calendar:
		return sampleMoment(p.text, choose).Format(p.layout)
	case schedule:
		keys := schedules[p.text]
		return map[string]any{keys[0]: sampleMoment(p.text, choose).Format(p.layout), keys[1]: protocol.Decimal{Coefficient: choose(100)}}
	case weekday:
		return weekdays[choose(7)]
	case characters:
		text := make([]byte, choose(int64(p.size)+1))
		for i := range text {
			text[i] = byte(' ' + choose('~'-' '+1))
		}
		return string(text)
	}
	raw := make([]byte, p.size)
	for i := range raw {
		raw[i] = byte(choose(256))
	}
	if empty(raw) && !(p.kind == bits && p.size == 1) {
		return nil
	}
	return strings.ToUpper(hex.EncodeToString(raw))
}

// sampleMoment makes a moment of the parts that a picture has.
func sampleMoment(picture string, choose chooser) time.Time {
	part := func(unit string, n int64) int {
		if !strings.Contains(picture, unit) {
			return 0
		}
		return int(choose(n))
	}
	year, month := 2000+part("YY", 100), time.Month(1+part("MM", 12))
	days := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return time.Date(year, month, 1+part("DD", int64(days)), part("hh", 24), part("mm", 60), part("ss", 60), 0, shanghai)
}
