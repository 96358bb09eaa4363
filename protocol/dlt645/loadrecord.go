package dlt645

import (
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
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
	samples := []any{}
	for len(data) > 0 {
		sample, rest, err := l.decodeSample(data, zone)
		if err != nil {
			return nil, err
		}
		if sample != nil {
			samples = append(samples, sample)
		}
		data = rest
	}
	return []protocol.Value{{Name: i.Name, Data: samples}}, nil
}

// decodeSample reads the block at the beginning of data; the sample of a block that is not
// valid is nil.
func (l loadRecord) decodeSample(data []byte, zone *time.Location) (sample map[string]any, rest []byte, err error) {
	if len(data) < 3 || data[0] != data[1] || data[0] != loadValid && data[0] != loadInvalid {
		return nil, nil, garbled("no load-record block begins with A0 A0 or E0 E0 where %d bytes are left", len(data))
	}
	end := 3 + int(data[2])
	if len(data) < end+2 || data[end+1] != loadEnd {
		return nil, nil, garbled("a load-record block of %d bytes does not end with E5", int(data[2])+5)
	}
	if sum := checksum(data[:end]); sum != data[end] {
		return nil, nil, garbled("the checksum of a load-record block is %02XH, not %02XH", data[end], sum)
	}
	block, rest := data[3:end], data[end+2:]
	if data[0] == loadInvalid {
		return nil, rest, nil
	}
	if len(block) < loadTime.size {
		return nil, nil, garbled("a load-record block of %d bytes has no time", len(block))
	}
	at, err := loadTime.Decode(block[:loadTime.size], zone)
	if err != nil {
		return nil, nil, err
	}
	values, units := make(map[string]any), make(map[string]any)
	block = block[loadTime.size:]
	for n, class := range l.classes {
		record := form{record: class}
		if len(block) > record.size() && block[record.size()] == separator {
			object, behind, err := record.decode(block, zone)
			if err != nil {
				return nil, nil, err
			}
			for _, f := range class {
				values[f.key] = object.(map[string]any)[f.key]
				if f.unit != "" {
					units[f.key] = f.unit
				}
			}
			block = behind
		}
		if len(block) == 0 || block[0] != separator {
			return nil, nil, garbled("class %d of a load-record block is not closed by AAH", n+1)
		}
		block = block[1:]
	}
	if len(block) > 0 {
		return nil, nil, garbled("a load-record block has %d bytes behind its six classes", len(block))
	}
	return map[string]any{"time": at, "values": values, "units": units}, rest, nil
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
		dst = append(append(dst, block...), checksum(block), loadEnd)
	}
	return dst, nil
}
