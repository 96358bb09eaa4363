package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// newFlags makes the flag set of a command, with its help text.
func newFlags(name, arguments, text string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	if asked, ok := stderr.(*flagsWriter); ok {
		asked.flags = flags
	}
	flags.SetOutput(sayingWriter{stderr})
	flags.Usage = func() {
		options := ""
		flags.VisitAll(func(*flag.Flag) { options = sayHelp("[options]") })
		fmt.Fprintf(stderr, "%s%s\n\n%s\n", sayHelp("Usage: "), collapse("dlt645-mqtt "+name+" "+options+" "+sayHelp(arguments)), sayHelp(text))
		if options != "" {
			fmt.Fprintf(stderr, "\n%s\n", sayHelp("Options:"))
			printOptions(stderr, flags)
		}
	}
	return flags
}

// printOptions prints what the options mean.
func printOptions(w io.Writer, flags *flag.FlagSet) {
	var text strings.Builder
	before := flags.Output()
	flags.SetOutput(&text)
	flags.VisitAll(func(f *flag.Flag) { f.Usage = sayHelp(f.Usage) })
	flags.PrintDefaults()
	flags.SetOutput(before)
	said := text.String()
	if inChinese() {
		said = byDefault().ReplaceAllString(said, "（默认 $1）")
	}
	fmt.Fprint(w, said)
}

// byDefault is how package flag tells the value of an option that is not given.
var byDefault = compiledOnce(`(?m) \(default (.*)\)$`)

// parseFlags parses and reports whether the command is over already, and with which status.
func parseFlags(flags *flag.FlagSet, arguments []string) (status int, done bool) {
	err := flags.Parse(arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, true
	case err != nil:
		return 2, true
	}
	return 0, false
}

// parseOptions parses the arguments of a command that takes options only.
func parseOptions(flags *flag.FlagSet, arguments []string) (status int, done bool) {
	status, done = parseFlags(flags, arguments)
	if !done && flags.NArg() > 0 {
		complain(flags.Output(), flags.Name(), fmt.Errorf("%q is not understood: options begin with a hyphen", flags.Arg(0)))
		return 2, true
	}
	return status, done
}

// parseWords parses options that may stand before, between and behind words, and returns the words.
func parseWords(flags *flag.FlagSet, arguments []string) (words []string, status int, done bool) {
	for {
		if status, done = parseFlags(flags, arguments); done || flags.NArg() == 0 {
			return words, status, done
		}
		words = append(words, flags.Arg(0))
		arguments = flags.Args()[1:]
	}
}

// collapse makes single spaces of runs.
func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }
