package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/uplink/dialect"
)

// completions are what shells load. All that they do is to ask the binary what may come next, so that they know nothing
// of commands, options and items themselves.
//
//go:embed completions
var completions embed.FS

// shells are those that there is a completion for, and its file.
var shells = map[string]string{"bash": "bash.sh", "fish": "fish.fish", "zsh": "zsh.zsh"}

// wordsText asks for what may stand in place of the last of the words that follow.
const wordsText = "words"

// runCompletion prints the completion for a shell, or what that asks for.
func runCompletion(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	if len(arguments) > 0 && arguments[0] == wordsText {
		for _, s := range suggest(ctx, arguments[1:]) {
			fmt.Fprintf(out, "%s\t%s\n", s.word, s.about)
		}
		return 0
	}
	flags := newFlags("completion", "bash | zsh | fish", "Prints what makes the shell complete commands, options, meters, items and protocols:\n  bash   source <(dlt645-mqtt completion bash)\n  zsh    source <(dlt645-mqtt completion zsh)      behind compinit\n  fish   dlt645-mqtt completion fish | source\nin ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish. Meters are those of DLT645_METERS.", stderr)
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	if len(words) != 1 {
		flags.Usage()
		return 2
	}
	file, known := shells[words[0]]
	if !known {
		complain(stderr, "completion", fmt.Errorf("there is no completion for %q, only for %s", words[0], strings.Join(slices.Sorted(maps.Keys(shells)), ", ")))
		return 2
	}
	text, err := completions.ReadFile("completions/" + file)
	if err != nil {
		panic(err) // it is embedded
	}
	if _, err := out.Write(text); err != nil {
		complain(stderr, "completion", err)
		return 1
	}
	return 0
}

// A suggestion is a word that a command line may have, and what it is.
type suggestion struct{ word, about string }

// A suggester collects suggestions for a word.
type suggester struct {
	word string // what is typed of it
	all  []suggestion
}

// add suggests a word if it begins with what is typed, once.
func (s *suggester) add(word, about string) {
	if strings.HasPrefix(word, s.word) && !slices.ContainsFunc(s.all, func(other suggestion) bool { return other.word == word }) {
		s.all = append(s.all, suggestion{word, sayHelp(about)})
	}
}

// behind suggests what may come behind the first part of the word that is typed, such as the last of a list.
func (s *suggester) behind(first string, suggest func(*suggester)) {
	rest := suggester{word: strings.TrimPrefix(s.word, first)}
	suggest(&rest)
	for _, r := range rest.all {
		s.add(first+r.word, r.about)
	}
}

// listed suggests what may be the last of a list.
func (s *suggester) listed(suggest func(*suggester)) {
	s.behind(s.word[:strings.LastIndex(s.word, ",")+1], suggest)
}

// suggest returns what may stand in place of the last word of a command line, whose first word is the program. Nothing
// means that the shell may suggest files.
func suggest(ctx context.Context, line []string) []suggestion {
	if len(line) < 2 {
		return nil
	}
	s := &suggester{word: line[len(line)-1]}
	before := line[1 : len(line)-1]
	if len(before) == 0 {
		s.commands()
		return s.all
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == before[0] })
	if i < 0 {
		return nil
	}
	c, before := commands()[i], before[1:]
	var sub []string // a command of a command, which has options of its own
	if c.name == "uplink" && len(before) > 0 && !strings.HasPrefix(before[0], "-") {
		sub, before = before[:1], before[1:]
	}
	flags := flagsOf(ctx, c, sub)
	if flags == nil { // of help, which has none
		flags = flag.NewFlagSet(c.name, flag.ContinueOnError)
	}
	given, words, open := takeOptions(flags, before)
	name, value, joined := strings.Cut(s.word, "=")
	switch {
	case open != "":
		s.values(open)
	case strings.HasPrefix(s.word, "-") && joined:
		s.behind(strings.TrimSuffix(s.word, value), func(s *suggester) { s.values(strings.TrimLeft(name, "-")) })
	case strings.HasPrefix(s.word, "-"):
		hyphens := "-"
		if strings.HasPrefix(s.word, "--") {
			hyphens = "--"
		}
		flags.VisitAll(func(f *flag.Flag) {
			f.Usage = sayHelp(f.Usage)
			_, usage := flag.UnquoteUsage(f)
			about, _, _ := strings.Cut(strings.ReplaceAll(usage, "；", ";"), ";")
			s.add(hyphens+f.Name, about)
		})
		s.add(hyphens+"help", "explain the command")
	default:
		s.positional(c.name, slices.Concat(sub, words), given)
	}
	return s.all
}

// takeOptions goes through the words behind a command. It returns the values of the options, the words that are none,
// and the option whose value comes next; empty: none.
func takeOptions(flags *flag.FlagSet, before []string) (given map[string]string, words []string, open string) {
	given = map[string]string{}
	for _, word := range before {
		name, value, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
		option := flags.Lookup(name)
		switch {
		case open != "":
			given[open], open = word, ""
		case !strings.HasPrefix(word, "-") || word == "-":
			words = append(words, word)
		case joined:
			given[name] = value
		case option != nil && !isSwitch(option):
			open = name
		}
	}
	return given, words, open
}

// isSwitch reports whether an option takes no value.
func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// A flagsWriter is given to a command in place of standard error to learn which options it has.
type flagsWriter struct {
	io.Writer
	flags *flag.FlagSet
}

// flagsOf returns the options of a command; nil: it has none.
func flagsOf(ctx context.Context, c command, sub []string) *flag.FlagSet {
	if c.name == "help" {
		return nil
	}
	asked := &flagsWriter{Writer: io.Discard}
	c.run(ctx, slices.Concat(sub, []string{"-help"}), strings.NewReader(""), io.Discard, asked)
	return asked.flags
}

func (s *suggester) commands() {
	for _, c := range commands() {
		s.add(c.name, c.summary)
	}
}

// protocols suggests the names of protocols.
func (s *suggester) protocols() {
	c, _ := readConfig(false) // what is wrong is told by the command itself
	for _, name := range inOrder(c.protocols) {
		about := ""
		if titled, ok := c.protocols[name].(protocol.Titled); ok {
			about = titled.Title()
		}
		s.add(name, about)
	}
}

// values suggests values of an option.
func (s *suggester) values(option string) {
	switch option {
	case "protocol":
		s.listed((*suggester).protocols)
	case "bus":
		for _, device := range bus.Devices() {
			s.add("serial://"+device, "a serial line of this machine")
		}
		for _, way := range []suggestion{{"tcp://", "a serial server"}, {"rfc2217://", "one whose speed is set from here"}, {"udp://", "one that sends datagrams"}, {"sim://", "simulated meters"}} {
			s.add(way.word, way.about)
		}
	case "parities":
		s.listed(func(s *suggester) {
			for _, parity := range protocol.Parities {
				s.add(parity, "")
			}
		})
	case "speeds", "baud":
		s.listed(func(s *suggester) {
			for _, speed := range usualSpeeds {
				s.add(fmt.Sprint(speed), "bits per second")
			}
		})
	case "cloud":
		for _, name := range dialect.Names() {
			s.add(name, "")
		}
	}
}

// positional suggests words of a command that are no options. before are those that it has already, given its options.
func (s *suggester) positional(command string, before []string, given map[string]string) {
	first := len(before) == 0
	switch {
	case command == "help" && first:
		s.commands()
	case command == "completion" && first:
		for _, shell := range slices.Sorted(maps.Keys(shells)) {
			s.add(shell, "")
		}
	case command == "points" && first:
		s.add("check", "explain a point table")
		s.add("template", "write a table to begin with")
	case command == "uplink" && first:
		s.add("model", "print the thing model of a point table")
		s.add("check", "say what the cloud would refuse")
		s.add("sign", "show what the gateway logs in with")
	case command == "fleet" && first:
		s.add("list", "list the bridges at a broker")
		s.add("ask", "read the same items of all bridges")
		s.add("push", "give all bridges a point table")
	case command == "fleet" && before[0] == "ask" && len(before) > 1: // the meter is one of theirs
		c, _ := readConfig(false)
		s.items(c.protocol)
	case command == "read" && first:
		c, _ := readConfig(false)
		for _, m := range c.meters {
			about := m.Address.Text + ", " + m.Protocol.Name()
			if m.DisplayName != "" {
				about = m.DisplayName + ", " + about
			}
			s.add(m.Name, about)
		}
		s.add("AAAAAAAAAAAA", "the only meter on the wire")
	case command == "read":
		c, _ := readConfig(false)
		spoken := c.protocol
		if own := c.protocols[given["protocol"]]; own != nil {
			spoken = own
		}
		if m, err := c.meter("", before[0]); err == nil && strings.Contains(before[0], "@") {
			spoken = m.Protocol
		}
		if i := slices.IndexFunc(c.meters, func(m meters.Meter) bool { return m.Name == before[0] }); i >= 0 {
			spoken = c.meters[i].Protocol
		}
		s.listed(func(s *suggester) { s.items(spoken) })
	case command == "items":
		c, _ := readConfig(false)
		spoken := c.protocol
		if own := c.protocols[given["protocol"]]; own != nil {
			spoken = own
		}
		s.items(spoken)
	}
}

// items suggests the names of items of a protocol: one of each family, and those whose names only lack what is behind
// the last _.
func (s *suggester) items(spoken protocol.Protocol) {
	catalogue, ok := spoken.(protocol.Catalogue)
	if !ok {
		return
	}
	if dictionary, err := dictionaryNamed(spoken.Name()); err == nil {
		for _, row := range dictionary.search() {
			s.add(row.Name, collapse(row.TextEN+" "+row.TextZH))
		}
	}
	if s.word == "" {
		return
	}
	names, _ := catalogue.Match(s.word + "*") // none begins so
	for _, name := range names {
		about := ""
		if d, known := catalogue.Describe(name); known {
			about = collapse(d.English + " " + d.Chinese)
		}
		s.add(name, about)
	}
}
