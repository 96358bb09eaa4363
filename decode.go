package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
)

// A tongue is a family of protocols as a reader of frames knows it.
type tongue struct {
	names []string // by which it is asked for

	// scan cuts the frames out of a stream; what it cuts is one by its own checks.
	scan bufio.SplitFunc

	// describe explains a frame; name is the one that was asked for, or empty. A description beside an
	// error is worth showing all the same.
	describe func(frame []byte, name string, zone *time.Location) (description any, err error)

	// asked marks one whose frames have no marks of their own: it is tried only if it is asked for.
	asked bool
}

// tongues are all families, those with the stronger checks first.
var tongues = []tongue{
	{
		names: []string{dlt698.Name}, scan: dlt698.SplitFrame,
		describe: func(frame []byte, _ string, zone *time.Location) (any, error) {
			return described(dlt698.Describe(frame, zone))
		},
	},
	{
		names: []string{"2007", "1997"}, scan: dlt645.SplitFrame,
		describe: func(frame []byte, name string, zone *time.Location) (any, error) {
			version, _ := dlt645.ParseVersion(name) // none: it is told by the function code
			d, err := dlt645.Describe(frame, version, zone)
			if err != nil && d.Refusal == nil {
				return nil, err
			}
			return d, err
		},
	},
	{
		names: []string{cjt188.Name}, scan: cjt188.SplitFrame,
		describe: func(frame []byte, _ string, zone *time.Location) (any, error) {
			return described(cjt188.Describe(frame, zone))
		},
	},
	{
		names: []string{modbus.Name}, scan: modbus.SplitFrame, asked: true,
		describe: func(frame []byte, _ string, _ *time.Location) (any, error) {
			return described(modbus.Describe(frame))
		},
	},
}

// described makes no description out of one beside an error.
func described[D any](d D, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// tonguesOf returns the families of a name: all that tell their frames by themselves for the empty one.
func tonguesOf(name string) (some []tongue, err error) {
	family, _, _ := strings.Cut(name, "/") // a register map says nothing about frames
	var names []string
	for _, t := range tongues {
		for _, own := range t.names {
			if name == "" && !t.asked || own == family {
				some = append(some, t)
				break
			}
		}
		names = append(names, t.names...)
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("%q is no protocol; there are %s", name, strings.Join(names, ", "))
	}
	return some, nil
}

// runDecode explains frames, one JSON object a line.
func runDecode(_ context.Context, arguments []string, in io.Reader, out, stderr io.Writer) int {
	flags := newFlags("decode", "[HEX…]", "Explains frames, one JSON object a line. The arguments are joined and the frames cut out of them;\nwithout arguments standard input is read. Bytes may stand as 68 01, 68:01, 0x68, \\x68 or 68H, also in lines of a log. Frames of DL/T 645, DL/T 698.45 and CJ/T 188 are told apart by their own\nchecks; those of Modbus are explained with -protocol modbus. Passwords are shown. Exit 1 if a frame is bad, and why on\nstandard error. Of a refusal whose error code or length is odd, that is told as well; it is a refusal all the same, as the bridge takes it.", stderr)
	protocol := flags.String("protocol", "", "`name` of the protocol: 2007, 1997, 698, 188 or modbus; told by the frame if not given")
	flags.Bool("json", true, "as always; for scripts that give it to every command")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	spoken, err := tonguesOf(*protocol)
	if err != nil {
		complain(stderr, "decode", err)
		return 2
	}
	r := configReader{environment: readEnvironment()}
	zone := r.zone()
	if err := errors.Join(r.complaints...); err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	text := strings.Join(words, " ")
	if len(words) == 0 {
		input, err := io.ReadAll(in)
		if err != nil {
			complain(stderr, "decode", err)
			return 1
		}
		text = string(input)
	}
	stream, pasted, err := parseHex(text)
	if err != nil {
		complain(stderr, "decode", err)
		return 1
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	pieces := cutFrames(stream, spoken)
	if pasted { // numbers of the text beside the frames are none
		if frames := slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool { return !p.frame }); len(frames) > 0 {
			pieces = slices.DeleteFunc(pieces, func(p piece) bool { return !p.frame && len(p.bytes) <= fewestPasted })
		}
	}
	for _, piece := range pieces {
		description, err := piece.describe(*protocol, zone)
		if err != nil {
			complain(stderr, fmt.Sprintf("decode: % X", piece.bytes), err)
			if description == nil { // else it is odd, and the bus takes it all the same
				status = 1
			}
		}
		if description != nil {
			if err := encoder.Encode(description); err != nil {
				complain(stderr, "decode", err)
				status = 1
			}
		}
	}
	return status
}

// A piece is a frame, or bytes between frames that are none.
type piece struct {
	bytes  []byte
	frame  bool    // it was cut
	tongue *tongue // that cut it; of what is no frame the one whose frame it may be meant to be
}

// describe explains the piece, or says what is wrong with it.
func (p piece) describe(name string, zone *time.Location) (any, error) {
	return p.tongue.describe(p.bytes, name, zone)
}

// cutFrames cuts a stream into frames and, between them, pieces that are none: the frame that begins
// first, and of those that begin at the same byte that of the tongue with the strongest checks.
func cutFrames(stream []byte, spoken []tongue) (pieces []piece) {
	type cut struct{ begin, end int }
	next := make([]cut, len(spoken)) // where the next frame of each tongue is; begin is len(stream) if none is left
	for at, first := 0, true; at < len(stream); first = false {
		best := -1
		for i := range next {
			if first || next[i].begin < at {
				advance, frame, _ := spoken[i].scan(stream[at:], true)
				next[i] = cut{len(stream), len(stream)}
				if frame != nil {
					next[i] = cut{at + advance - len(frame), at + advance}
				}
			}
			if next[i].begin < len(stream) && (best < 0 || next[i].begin < next[best].begin) {
				best = i
			}
		}
		begin := len(stream)
		if best >= 0 {
			begin = next[best].begin
		}
		if between := withoutWakeUp(stream[at:begin]); len(between) > 0 {
			pieces = append(pieces, piece{between, false, meantFor(between, spoken)})
		}
		if best < 0 {
			break
		}
		pieces = append(pieces, piece{stream[begin:next[best].end], true, &spoken[best]})
		at = next[best].end
	}
	return pieces
}

// withoutWakeUp returns bytes without the wake-up bytes before and behind them.
func withoutWakeUp(b []byte) []byte {
	const wakeUp = 0xFE
	for len(b) > 0 && b[0] == wakeUp {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == wakeUp {
		b = b[:len(b)-1]
	}
	return b
}

// meantFor guesses which frame a piece was meant to be that is none, for the complaint: that of DL/T 698.45 if its
// header is sound or its length right, that of DL/T 645 if it has its second 68H, else that of CJ/T 188 if it has a
// type of meter in its place.
func meantFor(b []byte, spoken []tongue) *tongue {
	guess := "2007"
	switch {
	case dlt698.Resembles(b):
		guess = dlt698.Name
	case len(b) > 9 && b[0] == 0x68 && b[7] != 0x68 && (b[1] >= 0x10 && b[1] < 0x50 || b[1] == 0xAA):
		guess = cjt188.Name
	}
	for i := range spoken {
		if spoken[i].names[0] == guess {
			return &spoken[i]
		}
	}
	return &spoken[0]
}
