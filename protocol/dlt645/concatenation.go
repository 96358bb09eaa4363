package dlt645

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A concatenation is the codec of a block whose members do not differ in a running letter:
// other items that follow each other. In some blocks each of them is closed by AAH, which
// is no BCD and so occurs in none of them; then they may be of any length, or left out.
type concatenation struct {
	parts  []string // patterns of identifiers; letters stand for those of the block
	closed bool     // by AAH each
	moment bool     // a date and a time of day: as a moment they have the name of the block
}

// items returns the parts of the block i, in the order of the wire.
func (c *concatenation) items(i Item) ([]Item, error) {
	d := i.family.dictionary
	items := make([]Item, len(c.parts))
	for k, part := range c.parts {
		digits := []byte(part)
		for n, own := range []byte(i.DI.Format(d.version)) {
			if digits[n] >= 'a' {
				digits[n] = own
			}
		}
		di, err := ParseDI(string(digits), d.version)
		if err != nil {
			return nil, err
		}
		item, ok := d.Lookup(di)
		if !ok {
			return nil, fmt.Errorf("the table has no %s, which is part of %s", digits, i.Name)
		}
		items[k] = item
	}
	return items, nil
}

func (c *concatenation) names(i Item) []string {
	items, _ := c.items(i) // the tests go through all of them
	var names []string
	if c.moment {
		names = append(names, i.Name)
	}
	for _, item := range items {
		names = append(names, item.Names()...)
	}
	return names
}

func (c *concatenation) decode(i Item, data []byte, zone *time.Location) ([]protocol.Value, error) {
	items, err := c.items(i)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, garbled("there are no data")
	}
	var parts [][]byte
	switch {
	case i.DI == diStatusBlock && i.family.dictionary.version == V2007:
		parts, err = statusParts(data)
	case c.closed && bytes.IndexByte(data, separator) >= 0:
		parts = bytes.Split(bytes.TrimSuffix(data, []byte{separator}), []byte{separator})
	default:
		parts, err = split(items, data)
	}
	if err != nil {
		return nil, err
	}
	var values []protocol.Value
	// A maker may put parts of his own behind those of the standard.
	for k, part := range parts[:min(len(parts), len(items))] {
		if len(part) == 0 {
			continue
		}
		decoded, err := items[k].Decode(part, zone)
		if err != nil {
			return nil, err
		}
		values = append(values, decoded...)
	}
	if c.moment {
		moment := protocol.Value{Name: i.Name}
		if date, clock := valueOf(values, items[0].Name), valueOf(values, items[1].Name); date != nil && clock != nil {
			t, err := time.ParseInLocation(time.DateTime, fmt.Sprint(date, " ", clock), zone)
			if err != nil {
				return nil, garbled("%v", err)
			}
			moment.Data = t.Format(time.RFC3339)
		}
		values = slices.Insert(values, 0, moment)
	}
	return values, nil
}

// partsOfMoment makes the values of a date and a time of day out of a moment.
func partsOfMoment(items []Item, moment any, zone *time.Location) (map[string]any, error) {
	picture, err := ParsePicture("YYMMDDhhmmss")
	if err != nil {
		return nil, err
	}
	data, err := picture.Append(nil, moment, zone)
	if err != nil {
		return nil, err
	}
	t, err := picture.moment(data, zone)
	if err != nil || t.IsZero() {
		return map[string]any{items[0].Name: nil, items[1].Name: nil}, err
	}
	return map[string]any{items[0].Name: t.Format(time.DateOnly), items[1].Name: t.Format(time.TimeOnly)}, nil
}

// split cuts data into items of fixed size; the last ones may be missing.
func split(items []Item, data []byte) ([][]byte, error) {
	var parts [][]byte
	rest := data
	for _, item := range items {
		size := item.Size()
		if item.family.running(item.at) >= 0 {
			return nil, garbled("%d bytes without AAH between the parts, which this meter must be asked for one by one", len(data))
		}
		if len(rest) < size {
			break
		}
		parts, rest = append(parts, rest[:size]), rest[size:]
	}
	if len(rest) > 0 && !(len(rest) == 1 && rest[0] == separator) {
		return nil, garbled("%d bytes do not end with one of the %d parts", len(data), len(items))
	}
	return parts, nil
}

// diStatusBlock is the block of status words. How many there are varies: the seven of the
// standard, behind them the key status word of the amendments (18 bytes), words 1 to 3 and
// the key status word (10 bytes), or more bytes that nobody has explained.
const diStatusBlock DI = 0x040005FF

// closedStatus takes the AAH off behind each word, as some meters close every part of a block, if
// it is behind all of them.
func closedStatus(data []byte) []byte {
	var open []byte
	for rest := data; len(rest) > 0; {
		size := 2
		if len(open) == 14 { // the key status word
			size = 4
		}
		if len(rest) <= size || rest[size] != separator {
			return data
		}
		open, rest = append(open, rest[:size]...), rest[size+1:]
	}
	if len(open) != 14 && len(open) != 18 {
		return data
	}
	return open
}

// isPlainStatus reports whether the block has a length that tells where its words are. Others have
// been seen, 28 bytes among them, and may be of longer words: then each word is read by itself.
func isPlainStatus(data []byte) bool {
	data = closedStatus(data)
	if len(data)%2 == 1 && data[len(data)-1] == separator {
		data = data[:len(data)-1]
	}
	return slices.Contains([]int{10, 14, 16, 18}, len(data))
}

// statusParts cuts the block into the words 1 to 7 and the key status word.
func statusParts(data []byte) ([][]byte, error) {
	data = closedStatus(data)
	if len(data)%2 == 1 && data[len(data)-1] == separator {
		data = data[:len(data)-1]
	}
	words, key := min(len(data)/2, 7), 0
	switch len(data) {
	case 10:
		words, key = 3, 6
	case 18:
		key = 14
	}
	if len(data)%2 == 1 || words == 0 {
		return nil, garbled("%d bytes are not whole status words", len(data))
	}
	parts := make([][]byte, 7, 8)
	for k := range words {
		parts[k] = data[2*k : 2*k+2]
	}
	if key > 0 {
		parts = append(parts, data[key:key+4])
	}
	return parts, nil
}

func (c *concatenation) append(i Item, dst []byte, values map[string]any, zone *time.Location) ([]byte, error) {
	items, err := c.items(i)
	if err != nil {
		return nil, err
	}
	if t, ok := values[i.Name]; ok && c.moment && len(values) == 1 {
		if values, err = partsOfMoment(items, t, zone); err != nil {
			return nil, err
		}
	}
	last := len(items) - 1
	own := make([]map[string]any, len(items))
	for k, item := range items {
		names := item.Names()
		for name, value := range values {
			if slices.Contains(names, name) {
				if own[k] == nil {
					own[k] = make(map[string]any)
				}
				own[k][name] = value
			}
		}
	}
	for !c.closed && last > 0 && own[last] == nil {
		last--
	}
	for k := range items[:last+1] {
		if own[k] != nil || !c.closed {
			if dst, err = items[k].append(dst, own[k], zone); err != nil {
				return nil, fmt.Errorf("%s: %w", items[k].Name, err)
			}
		}
		if c.closed {
			dst = append(dst, separator)
		}
	}
	return dst, nil
}
