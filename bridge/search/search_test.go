package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// seeker is a protocol whose addresses are three digits, asked for one by one from the right.
type seeker struct {
	protocol.Protocol
	name string
}

func (s seeker) Name() string { return s.name }

func (seeker) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600}, []string{"even"}
}

func (s seeker) Find(pattern string) (protocol.Question, error) {
	if pattern == "" {
		pattern = "AAA"
	}
	levels := strings.Count(pattern, "A")
	return protocol.Question{
		Pattern: pattern, Levels: levels,
		Steps:   []protocol.Step{{Meter: keyOf(pattern), Items: []string{s.name}, Class: protocol.ClassScan}},
		Matches: func(address string) bool { return strings.HasSuffix(address, pattern[levels:]) },
		Narrow: func() (parts []protocol.Question) {
			for digit := range 10 * min(levels, 1) {
				part, _ := s.Find(fmt.Sprintf("%s%d%s", pattern[:levels-1], digit, pattern[levels:]))
				parts = append(parts, part)
			}
			return parts
		},
	}, nil
}

func keyOf(address string) protocol.MeterKey {
	return protocol.MeterKey{Family: "seekers", Text: address}
}

// errDown is an error that ends a search.
var errDown = errors.New("the bus is down")

var (
	slow = protocol.Mode{Baud: 2400, Parity: "even"}
	fast = protocol.Mode{Baud: 9600, Parity: "even"}
)

// A town is a bus with meters on it.
type town struct {
	meters    map[string]protocol.Mode // by protocol and address
	deaf      bool                     // the port has no modes
	strongest bool                     // of several meters one is heard, that with the highest address
	phantom   string                   // what several at once look like
	lose      func(n int) bool         // reports whether the answer to question n is lost
	noise     string                   // a pattern to which there is always noise
	err       error                    // instead of the answer to question 5
	asked     []string
}

func (w *town) ask(mode protocol.Mode, step protocol.Step) (protocol.Address, error) {
	address, err := w.answer(mode, step)
	return protocol.Address{MeterKey: keyOf(address)}, err
}

func (w *town) answer(mode protocol.Mode, step protocol.Step) (string, error) {
	pattern, spoken := step.Meter.Text, step.Items[0]
	w.asked = append(w.asked, pattern)
	<-time.After(time.Second)
	if w.err != nil && len(w.asked) == 5 {
		return "", w.err
	}
	var answers []string
	for name, at := range w.meters {
		p, address, _ := strings.Cut(name, " ")
		if p == spoken && (w.deaf || at == mode) && strings.HasSuffix(address, strings.Trim(pattern, "A")) {
			answers = append(answers, address)
		}
	}
	slices.Sort(answers)
	switch {
	case pattern == w.noise:
		return "", protocol.ErrGarbled
	case len(answers) == 0 || w.lose != nil && w.lose(len(w.asked)):
		return "", protocol.ErrSilent
	case len(answers) == 1 || w.strongest:
		return answers[len(answers)-1], nil
	case w.phantom != "":
		return w.phantom, nil
	}
	return "", protocol.ErrGarbled
}

func TestSearch(t *testing.T) {
	many := map[string]protocol.Mode{}
	for _, address := range []string{"111", "211", "121", "112", "900", "000", "999"} {
		many["x "+address] = slow
	}
	const all = "000 111 112 121 211 900 999"
	for _, test := range []struct {
		name   string
		town   town
		wanted int
		found  string // sorted
		sure   bool
		most   int // questions
	}{
		{"nobody", town{}, 0, "", true, 4},
		{"one", town{meters: map[string]protocol.Mode{"x 123": slow}}, 0, "123", true, 4 + 1 + 30},
		{"one, and we know", town{meters: map[string]protocol.Mode{"x 123": slow}}, 1, "123", false, 2},
		{"many, garbled", town{meters: many}, 0, all, true, 200},
		{"many, the strongest wins", town{meters: many, strongest: true}, 0, all, true, 200},
		{"many, and we know how many", town{meters: many}, 7, all, false, 100},
		{"fewer than we thought", town{meters: many}, 8, all, false, 200},
		{"several look like one that is not there", town{meters: many, phantom: "777"}, 0, all, true, 250},
		{"answers are lost", town{meters: map[string]protocol.Mode{"x 123": slow}, lose: func(n int) bool { return n > 5 && n%2 == 0 }}, 0, "123", true, 50},
		{"answers to patterns are lost", town{meters: map[string]protocol.Mode{"x 123": slow}, lose: func(n int) bool { return n > 5 }}, 0, "123", false, 50},
		{"noise", town{noise: "AA1"}, 0, "", true, 4},
		{"noise at the root", town{noise: "AAA"}, 0, "", false, 90},
		{"two of one address", town{meters: many, noise: "111"}, 0, "000 112 121 211 900 999", false, 200},
		{"two speeds", town{meters: map[string]protocol.Mode{"x 111": slow, "x 222": fast}}, 0, "111 222", true, 70},
		{"two protocols", town{meters: map[string]protocol.Mode{"x 111": slow, "y 222": fast}}, 0, "111 222", true, 70},
		{"one meter of both", town{meters: map[string]protocol.Mode{"x 111": slow, "y 111": slow, "y 222": slow}}, 0, "111 222", true, 150},
		{"one address twice", town{meters: map[string]protocol.Mode{"x 111": slow, "y 111": fast}}, 0, "111 111", true, 70},
		{"a port without speeds", town{meters: many, deaf: true}, 0, all, true, 220},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := Search{Ask: test.town.ask, Wanted: test.wanted}
				least := 0.0
				s.Asked = func() {
					if s.Left() < 0 || s.Remaining() < 0 {
						t.Fatalf("%d questions left, %v", s.Left(), s.Remaining())
					}
					least = max(least, float64(s.Questions())/float64(s.Questions()+s.Left()))
				}
				begin := time.Now()
				sure, err := s.Run([]Root{{seeker{name: "x"}, slow}, {seeker{name: "y"}, slow}, {seeker{name: "x"}, fast}, {seeker{name: "y"}, fast}})
				if err != nil {
					t.Fatal(err)
				}
				var found []string
				for _, f := range s.found {
					found = append(found, f.Address)
					if mode := test.town.meters[f.Protocol+" "+f.Address]; !test.town.deaf && mode != (protocol.Mode{Baud: f.Baud, Parity: f.Parity}) {
						t.Errorf("found %+v, which is at %v", f, mode)
					}
				}
				slices.Sort(found)
				if got := strings.Join(found, " "); got != test.found || sure != test.sure {
					t.Errorf("found %q, sure %t; want %q, %t", got, sure, test.found, test.sure)
				}
				if s.questions > test.most || s.questions != len(test.town.asked) || s.spent != time.Since(begin) {
					t.Errorf("%d questions in %v, at most %d wanted", s.questions, s.spent, test.most)
				}
				if sure && (s.Left() != 0 || least != 1) {
					t.Errorf("at the end %d questions are left, share %v", s.Left(), least)
				}
			})
		})
	}
}

func TestSearchBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": slow}, err: errDown}
		s := Search{Ask: w.ask}
		sure, err := s.Run([]Root{{seeker{name: "x"}, slow}})
		if sure || !errors.Is(err, errDown) || len(s.found) != 1 || len(w.asked) != 5 {
			t.Errorf("sure %t, %v, found %v after %d questions", sure, err, s.found, len(w.asked))
		}
	})
}

func TestSearchSkipsModesThatThePortLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": slow}}
		s := Search{Ask: func(mode protocol.Mode, step protocol.Step) (protocol.Address, error) {
			if mode == fast {
				return protocol.Address{}, protocol.ErrUnsupported
			}
			return w.ask(mode, step)
		}}
		sure, err := s.Run([]Root{{seeker{name: "x"}, fast}, {seeker{name: "x"}, slow}})
		if sure || err != nil || len(s.found) != 1 {
			t.Errorf("sure %t, %v, found %v", sure, err, s.found)
		}
	})
}

// TestSearchBeginsWhereSeveralAnswer has several meters at one mode and one at another. The several are searched for
// before modes are tried at which nobody may be, and that is told before they are.
func TestSearchBeginsWhereSeveralAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": slow, "x 122": slow, "x 133": slow, "y 222": fast}}
		s := Search{Ask: w.ask, Wanted: 3}
		var told []string
		s.Noticed = func() {
			told = append(told, fmt.Sprintf("%s, %d found of %d questions", s.Signals()[len(told)].Message, len(s.Found()), s.Questions()))
		}
		roots := []Root{{seeker{name: "y"}, slow}, {seeker{name: "x"}, slow}, {seeker{name: "x"}, fast}, {seeker{name: "y"}, fast}}
		if sure, err := s.Run(roots); sure || err != nil || len(s.Found()) != 3 {
			t.Errorf("sure %t, %v, found %v", sure, err, s.Found())
		}
		if n := strings.Count(strings.Join(w.asked, " "), "AAA"); n != 2 {
			t.Errorf("%d modes were tried, want 2: %v", n, w.asked)
		}
		if want := []string{"several meters answer at 2400 even, x, 0 found of 2 questions"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}

		// Without a number all modes are tried, and a single meter is no reason to ask for others first.
		w.asked, told = nil, nil
		s = Search{Ask: w.ask}
		s.Noticed = func() { told = append(told, s.Signals()[len(told)].Message) }
		if sure, err := s.Run(roots); !sure || err != nil || len(s.Found()) != 4 {
			t.Errorf("sure %t, %v, found %v", sure, err, s.Found())
		}
		if want := []string{"several meters answer at 2400 even, x", "a meter answers at 9600 even, y"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestForecast compares how many questions are said to be left with how many there were, where it is known how many
// meters there are: from when several are heard it is never off by more than the questions of one narrowing.
func TestForecast(t *testing.T) {
	for _, test := range []struct {
		meters, wanted, early int // early is the most that may be said before anybody is heard
	}{{1, 1, 4}, {2, 2, 14}, {5, 5, 14}, {10, 10, 14}} {
		synctest.Test(t, func(t *testing.T) {
			w := town{meters: map[string]protocol.Mode{}}
			for n := range test.meters {
				w.meters[fmt.Sprintf("x 12%d", n)] = slow
			}
			s := Search{Ask: w.ask, Wanted: test.wanted}
			var said []int
			heard := 0
			s.Asked = func() {
				said = append(said, s.Left())
				if len(s.Signals()) == 0 {
					heard = len(said)
				}
			}
			if _, err := s.Run([]Root{{seeker{name: "y"}, slow}, {seeker{name: "x"}, slow}, {seeker{name: "x"}, fast}, {seeker{name: "y"}, fast}}); err != nil || len(s.Found()) != test.wanted {
				t.Fatalf("%v, found %v", err, s.Found())
			}
			for i, left := range said {
				is := len(said) - 1 - i
				if most := 10; left > is+most || left < is-most || i < heard && left > test.early {
					t.Errorf("%d meters: after %d questions %d are said to be left, and %d were: %v", test.meters, i+1, left, is, said)
					break
				}
			}
			if s.Left() != 0 || s.Remaining() != 0 {
				t.Errorf("%d meters: at the end %d questions are left", test.meters, s.Left())
			}
		})
	}
}

// TestSearchAsksAllProtocolsOfAModeFirst has meters of several protocols at one mode. Those that a question about all
// meters finds must not wait for the addresses of the several to be narrowed.
func TestSearchAsksAllProtocolsOfAModeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": slow, "x 112": slow, "y 222": slow, "z 333": slow}}
		s := Search{Ask: w.ask, Wanted: 4}
		var roots []Root
		for _, mode := range []protocol.Mode{slow, fast} {
			for _, name := range []string{"x", "y", "z"} {
				roots = append(roots, Root{seeker{name: name}, mode})
			}
		}
		if sure, err := s.Run(roots); sure || err != nil || len(s.Found()) != 4 {
			t.Errorf("sure %t, %v, found %v", sure, err, s.Found())
		}
		// Three about all meters; two for the own addresses of those that answered; 0, 1 and 2 of the last digits, and
		// two for the own addresses.
		if want := 3 + 2 + 3 + 2; s.Questions() != want {
			t.Errorf("%d questions, want %d: %v", s.Questions(), want, w.asked)
		}
	})
}

// TestNoiseDoesNotKeepTheSearch has noise in answer to everything at one mode. The other modes have their turn.
func TestNoiseDoesNotKeepTheSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": fast}}
		s := Search{Wanted: 1}
		s.Ask = func(mode protocol.Mode, step protocol.Step) (protocol.Address, error) {
			if mode == slow {
				<-time.After(time.Second)
				return protocol.Address{}, protocol.ErrGarbled
			}
			return w.ask(mode, step)
		}
		if _, err := s.Run([]Root{{seeker{name: "x"}, slow}, {seeker{name: "x"}, fast}}); err != nil || len(s.Found()) != 1 || s.Questions() > 100 {
			t.Errorf("%v, found %v after %d questions", err, s.Found(), s.Questions())
		}
	})
}

// TestMetersAlikeEndTheSearch has two meters of one address among others. They cannot be listed, but they are there, and
// where it is known how many there are nobody else is looked for. A line that garbles everything proves no meter.
func TestMetersAlikeEndTheSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := town{meters: map[string]protocol.Mode{"x 111": slow, "x 122": slow}, noise: "111"}
		s := Search{Ask: func(mode protocol.Mode, step protocol.Step) (protocol.Address, error) {
			if mode == slow && (step.Meter.Text == "A11" || step.Meter.Text == "AA1" || step.Meter.Text == "AAA") {
				<-time.After(time.Second)
				return protocol.Address{}, protocol.ErrGarbled
			}
			return w.ask(mode, step)
		}, Wanted: 3}
		roots := []Root{{seeker{name: "x"}, slow}, {seeker{name: "x"}, fast}}
		if sure, err := s.Run(roots); sure || err != nil || len(s.Found()) != 1 {
			t.Errorf("sure %t, %v, found %v", sure, err, s.Found())
		}
		riddles := s.Riddles()
		if len(riddles) != 1 || riddles[0].AtLeast != 2 || !strings.Contains(riddles[0].Message, "the address 111") || s.Left() != 0 || slices.Contains(w.asked, "AAA") {
			t.Errorf("%+v, %d left, asked %q", riddles, s.Left(), w.asked)
		}

		noise := Search{Ask: func(protocol.Mode, protocol.Step) (protocol.Address, error) {
			<-time.After(time.Second)
			return protocol.Address{}, protocol.ErrGarbled
		}, Wanted: 2}
		if sure, err := noise.Run(roots[:1]); sure || err != nil || len(noise.Riddles()) > 0 {
			t.Errorf("noise: sure %t, %v, %+v", sure, err, noise.Riddles())
		}
	})
}
