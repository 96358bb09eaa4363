package dlt645

import (
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// loadRecord is the codec of load records (DL/T 645-2007, annex B): any number of blocks,
// each
//
//	A0 A0 | count | mm hh DD MM YY | class 1 AA | … | class 6 AA | checksum | E5
//
// E0 E0 at the beginning marks a block that is not valid. The count is that of the bytes
// from the time to the last AA, the checksum the sum of all bytes up to there. A class that
// the meter does not record is empty, and so is each other class if only one was asked for.
//
// The value is a list of samples {"time","values","units"}, the oldest first as it comes.
// Blocks that are not valid are left out.
type loadRecord struct {
	classes [][]field // in the order of the wire
}

// newLoadRecord takes the classes from the table of records.
func newLoadRecord(records map[string][]field) loadRecord {
	var l loadRecord
	for class := 1; records[fmt.Sprintf("load_%d", class)] != nil; class++ {
		l.classes = append(l.classes, records[fmt.Sprintf("load_%d", class)])
	}
	return l
}

const (
	loadValid   = 0xA0
	loadInvalid = 0xE0
	loadEnd     = 0xE5
)

// The blocks that a read asks for, DI0.
const (
	loadEarliest = 0x00
	loadSince    = 0x01 // those from a given time on
)

// loadTime is the form of the time in a block.
var loadTime = Picture{text: "YYMMDDhhmm", kind: calendar, size: 5, layout: time.RFC3339}

// twoParts is how many bytes of a record two frames bring: a reply to a read has 200 bytes of
// data, of which the identifier takes four and SEQ, in the second, one. Clause 5.2.4 of
// DL/T 645-2007.
const twoParts = 200 - 4 + 200 - 4 - 1

// portion returns how many blocks of a class (0: with all classes) a read should ask for: as
// many as two frames hold, so that the line is soon free for others.
func (l loadRecord) portion(class byte) int {
	size := 5 + loadTime.size + len(l.classes)
	for n, fields := range l.classes {
		if class == 0 || int(class) == n+1 {
			size += (&form{record: fields}).size()
		}
	}
	return twoParts / size
}

func (l loadRecord) names(i Item) []string { return []string{i.Name} }

func (l loadRecord) decode(i Item, data []byte, zone *time.Location) ([]protocol.Value, error) {
	samples, err := l.samples(data, zone)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, sample := range samples {
		if sample.Values == nil {
			continue
		}
		var at any
		if !sample.Time.IsZero() {
			at = sample.Time.Format(loadTime.layout)
		}
		values, units := make(map[string]any), make(map[string]any)
		for _, value := range sample.Values {
			values[value.Name] = value.Data
			if value.Unit != "" {
				units[value.Name] = value.Unit
			}
		}
		list = append(list, map[string]any{"time": at, "values": values, "units": units})
	}
	return []protocol.Value{{Name: i.Name, Data: list}}, nil
}

// samples reads blocks. A block that is not valid has nil for values; its time is zero, like
// that of a block without one, if it cannot be read.
func (l loadRecord) samples(data []byte, zone *time.Location) (samples []protocol.Sample, err error) {
	for len(data) > 0 {
		var sample protocol.Sample
		if sample, data, err = l.decodeSample(data, zone); err != nil {
			return nil, err
		}
		samples = append(samples, sample)
	}
	return samples, nil
}

// decodeSample reads the block at the beginning of data.
func (l loadRecord) decodeSample(data []byte, zone *time.Location) (sample protocol.Sample, rest []byte, err error) {
	if len(data) < 3 || data[0] != data[1] || data[0] != loadValid && data[0] != loadInvalid {
		return sample, nil, garbled("no load-record block begins with A0 A0 or E0 E0 where %d bytes are left", len(data))
	}
	end := 3 + int(data[2])
	if len(data) < end+2 || data[end+1] != loadEnd {
		return sample, nil, garbled("a load-record block of %d bytes does not end with E5", int(data[2])+5)
	}
	if sum := octet.Sum(data[:end]); sum != data[end] {
		return sample, nil, garbled("the checksum of a load-record block is %02XH, not %02XH", data[end], sum)
	}
	valid, block, rest := data[0] == loadValid, data[3:end], data[end+2:]
	if len(block) < loadTime.size {
		err = garbled("a load-record block of %d bytes has no time", len(block))
	} else {
		sample.Time, err = loadTime.moment(block[:loadTime.size], zone)
	}
	switch {
	case !valid:
		return sample, rest, nil
	case err != nil:
		return sample, nil, err
	}
	sample.Values = []protocol.Value{}
	block = block[loadTime.size:]
	for n, class := range l.classes {
		record := form{record: class}
		if len(block) > record.size() && block[record.size()] == separator {
			for k := range class {
				value := protocol.Value{Name: class[k].key, Unit: class[k].unit}
				if value.Data, block, err = class[k].decode(block, zone); err != nil {
					return sample, nil, fmt.Errorf("%s: %w", value.Name, err)
				}
				sample.Values = append(sample.Values, value)
			}
		}
		if len(block) == 0 || block[0] != separator {
			return sample, nil, garbled("class %d of a load-record block is not closed by AAH", n+1)
		}
		block = block[1:]
	}
	if len(block) > 0 {
		return sample, nil, garbled("a load-record block has %d bytes behind its six classes", len(block))
	}
	return sample, rest, nil
}

// append encodes samples as decode returns them; units are passed over. A class goes in as
// a whole if one of its values is there.
func (l loadRecord) append(i Item, dst []byte, values map[string]any, zone *time.Location) ([]byte, error) {
	list, _ := values[i.Name].([]any)
	for _, entry := range list {
		sample, _ := entry.(map[string]any)
		object, ok := sample["values"].(map[string]any)
		if !ok {
			return nil, loadTime.unfit(entry, `a sample is an object with "time" and "values"`)
		}
		block, err := loadTime.Append(nil, sample["time"], zone)
		if err != nil {
			return nil, err
		}
		for _, class := range l.classes {
			own := make(map[string]any)
			for _, f := range class {
				if value, ok := object[f.key]; ok {
					own[f.key] = value
				}
			}
			if len(own) > 0 {
				record := form{record: class}
				if block, err = record.append(block, own, zone); err != nil {
					return nil, err
				}
			}
			block = append(block, separator)
		}
		block = slices.Concat([]byte{loadValid, loadValid, byte(len(block))}, block)
		dst = append(append(dst, block...), octet.Sum(block), loadEnd)
	}
	return dst, nil
}
