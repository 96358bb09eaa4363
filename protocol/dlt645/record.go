package dlt645

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A form is how one value lies in the data: by a picture, as a record of several fields
// (which becomes an object), or as a list of either.
type form struct {
	picture Picture
	record  []field // in place of the picture
	repeat  int     // a list of so many at most; 0 if it is no list
}

// A field is one value of an item, or one entry of a record.
type field struct {
	form
	name     template // of an item's value
	key      string   // of a record's entry
	unit     string
	en, zh   string
	optional bool // meters of the base standard do not have it
}

// element returns the size of one element in bytes.
func (f *form) element() int {
	if f.record == nil {
		return f.picture.Size()
	}
	n := 0
	for i := range f.record {
		n += f.record[i].size()
	}
	return n
}

// size returns how many bytes the form takes if it is complete.
func (f *form) size() int { return f.element() * max(f.repeat, 1) }

// decode reads the value at the beginning of data and returns what is behind it. A list
// takes what is there of it; but one with something behind it in a record must be whole, for
// nobody could tell where it ends.
func (f *form) decode(data []byte, zone *time.Location) (value any, rest []byte, err error) {
	if f.repeat > 0 {
		single := form{picture: f.picture, record: f.record}
		list := []any{}
		for len(list) < f.repeat && len(data) > 0 {
			if value, data, err = single.decode(data, zone); err != nil {
				return nil, nil, fmt.Errorf("element %d: %w", len(list)+1, err)
			}
			list = append(list, value)
		}
		return list, data, nil
	}
	n := f.element()
	if f.record == nil {
		if f.picture.format != nil && n == 0 {
			n = len(data) // it takes what there is
		}
		if len(data) < n {
			return nil, nil, garbled("%d bytes are left for %s, which takes %d", len(data), f.picture, n)
		}
		value, err = f.picture.decode(data[:n], zone)
		return value, data[n:], err
	}
	object := make(map[string]any, len(f.record))
	for i := range f.record {
		entry := &f.record[i]
		if left := len(data); i < len(f.record)-1 && left < entry.size() {
			return nil, nil, fmt.Errorf("%s: %w", entry.key, garbled("%d bytes are left for %s, which takes %d", left, entry.describe(), entry.size()))
		}
		if object[entry.key], data, err = entry.decode(data, zone); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", entry.key, err)
		}
	}
	return object, data, nil
}

// append encodes a value as decode returns it; nil stands for FF bytes, and a short list
// makes a short field where decode takes one.
func (f *form) append(dst []byte, value any, zone *time.Location) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case nil:
		for range f.size() {
			dst = append(dst, 0xFF)
		}
		return dst, nil
	case []any:
		if len(v) > f.repeat {
			return nil, f.unfit(value, fmt.Sprintf("it takes a list of at most %d", f.repeat))
		}
		single := form{picture: f.picture, record: f.record}
		for i := range v {
			if dst, err = single.append(dst, v[i], zone); err != nil {
				return nil, fmt.Errorf("element %d: %w", i+1, err)
			}
		}
		return dst, nil
	}
	if f.repeat > 0 {
		return nil, f.unfit(value, "it takes a list")
	}
	if f.record == nil {
		return f.picture.Append(dst, value, zone)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, f.unfit(value, "it takes an object")
	}
	known := 0
	for i := range f.record {
		entry, ok := object[f.record[i].key]
		if ok {
			known++
		}
		if list, ok := entry.([]any); ok && i < len(f.record)-1 && len(list) < f.record[i].repeat {
			return nil, fmt.Errorf("%s: %w", f.record[i].key, f.record[i].unfit(entry, fmt.Sprintf("it takes a list of just %d", f.record[i].repeat)))
		}
		if dst, err = f.record[i].append(dst, entry, zone); err != nil {
			return nil, fmt.Errorf("%s: %w", f.record[i].key, err)
		}
	}
	if known < len(object) {
		return nil, f.unfit(value, "it has keys that the record lacks")
	}
	return dst, nil
}

// unfit makes an error of a value that the form has no room for.
func (f *form) unfit(value any, why string) error {
	return Picture{text: f.describe()}.unfit(value, why)
}

// describe names the form in errors.
func (f *form) describe() string {
	text := f.picture.String()
	if f.record != nil {
		text = "the record of " + f.record[0].key + " and so on"
	}
	if f.repeat > 0 {
		text += "*" + strconv.Itoa(f.repeat)
	}
	return text
}

// A recordTable brings the table of records, which is only read if there is a form that is none of the pictures.
type recordTable = func() map[string][]field

// parseForm reads a picture, a record's name, or either with "*14" behind it for a list.
func parseForm(text string, records recordTable) (form, error) {
	var f form
	if element, count, ok := strings.Cut(text, "*"); ok {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return f, fmt.Errorf("picture %q: %q is no number of elements", text, count)
		}
		f.repeat, text = n, element
	}
	var err error
	if f.picture, err = ParsePicture(text); err == nil {
		return f, nil
	}
	if record, ok := records()[text]; ok {
		return form{record: record, repeat: f.repeat}, nil
	}
	return f, err
}

// parseRecords reads the table of records: one line a field, in the order of the wire.
// Fields with {p} in their key that follow each other come three times, all of them for
// phase A, then for B, then for C.
func parseRecords(lines [][]string) (map[string][]field, error) {
	records := make(map[string][]field)
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && lines[end][0] == lines[i][0] && phased(lines[end]) == phased(lines[i]) {
			end++
		}
		repeats := []string{""}
		if phased(lines[i]) {
			repeats = strings.Split(phases, "")
		}
		for _, phase := range repeats {
			for _, line := range lines[i:end] {
				f, err := parseRecordField(line, phase, records)
				if err != nil {
					return nil, err
				}
				records[line[0]] = append(records[line[0]], f)
			}
		}
		i = end
	}
	return records, nil
}

func phased(line []string) bool { return strings.Contains(line[1], "{p}") }

// recordColumns are record, field, picture, unit, text_en, text_zh.
const recordColumns = 6

// parseRecordField reads one line of the table of records.
func parseRecordField(line []string, phase string, records map[string][]field) (field, error) {
	form, err := parseForm(line[2], func() map[string][]field { return records })
	if err != nil {
		return field{}, fmt.Errorf("record %s, field %s: %w", line[0], line[1], err)
	}
	f := field{form: form, unit: line[3]}
	f.key = strings.ReplaceAll(line[1], "{p}", "_"+strings.ToLower(phase))
	f.en = strings.ReplaceAll(line[4], "{p}", ", phase "+phase)
	f.zh = strings.ReplaceAll(line[5], "{p}", phase+"相")
	if f.key == "" {
		return f, errors.New("record " + line[0] + ": a field without a key")
	}
	return f, nil
}
