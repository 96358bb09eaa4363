package dlt698

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dlt645-mqtt/protocol"
)

// A flag is a bit of a word, or a field of two bits.
type flag struct {
	name   string // with the word's: "status_3.relay_open"
	bit    int    // the lowest; bit 0 is the first of the bit-string
	states []string
	alarm  bool // something is wrong while it is set
	en, zh string
}

func parseFlags(table string) (map[string][]flag, error) {
	lines, err := protocol.ReadTable(table, 7)
	if err != nil {
		return nil, fmt.Errorf("flags: %w", err)
	}
	flags := make(map[string][]flag)
	for _, line := range lines {
		bit, err := strconv.Atoi(line[1])
		if err != nil || bit < 0 || bit > 31 {
			return nil, fmt.Errorf("flags: %s has no bit %q", line[0], line[1])
		}
		flags[line[0]] = append(flags[line[0]], flag{
			name: line[0] + "." + line[2], bit: bit, states: strings.Fields(line[3]), alarm: line[4] == "alarm", en: line[5], zh: line[6],
		})
	}
	return flags, nil
}

// appendFlags appends the named bits of a word. A word without value has flags without value.
func (d *Dictionary) appendFlags(values []protocol.Value, word string, data *Data) []protocol.Value {
	for _, f := range d.flags[word] {
		value := protocol.Value{Name: f.name}
		if data != nil {
			switch bits := data.word() >> f.bit; {
			case len(f.states) == 0:
				value.Data = bits&1 != 0
			case int(bits&3) < len(f.states):
				value.Data = f.states[bits&3]
			}
		}
		values = append(values, value)
	}
	return values
}

// flag returns the flag of a name.
func (d *Dictionary) flag(name string) (flag, bool) {
	word, _, _ := strings.Cut(name, ".")
	i := slices.IndexFunc(d.flags[word], func(f flag) bool { return f.name == name })
	if i < 0 {
		return flag{}, false
	}
	return d.flags[word][i], true
}
