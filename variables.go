package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"dlt645-mqtt/protocol"
)

// readEnvironment reads the variables as they are written, good or bad.
func readEnvironment() (e environment) {
	if err := envconfig.Process(prefix, &e); err != nil {
		panic(err) // all fields are strings
	}
	return e
}

// setVariables sets those variables that have a value here, for options and for the demo.
func setVariables(values map[string]string) error {
	for name, value := range values {
		if value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// kubernetes matches what Kubernetes sets for services whose names begin with dlt645.
var kubernetes = compiledOnce(`^` + prefix + `_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// checkNames complains about variables that do not exist, and about empty ones that must not be.
func (r *configReader) checkNames() {
	known := variables()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		short, ours := strings.CutPrefix(name, prefix+"_")
		if !ours || kubernetes().MatchString(name) {
			continue
		}
		switch {
		case !slices.Contains(known, name):
			r.complaints = append(r.complaints, fmt.Errorf("%s: no such variable%s", name, protocol.Hint(name, slices.Values(known))))
		case value == "" && !slices.Contains(optional, short) && !slices.Contains(optionalUplink, short):
			r.complaints = append(r.complaints, fmt.Errorf("%s: is set but empty; give it a value or remove it", name))
		}
	}
	slices.SortFunc(r.complaints, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// variables lists the names of all variables.
func variables() []string {
	var names bytes.Buffer
	const template = "{{range .}}{{usage_key .}}\n{{end}}"
	if err := errors.Join(
		envconfig.Usagef(prefix, &environment{}, &names, template),
		envconfig.Usagef(uplinkPrefix, &uplinkEnvironment{}, &names, template),
	); err != nil {
		panic(err) // the template above is wrong
	}
	return strings.Fields(names.String())
}

// usage writes the table of all variables, and that of the parameters of one.
func usage(w io.Writer) error {
	if err := usageOf(w, prefix, &environment{}); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", sayHelp("Of the uplink, beside those of DLT645_MQTT_…, DLT645_LOG_LEVEL and DLT645_LOG_FORMAT:"))
	if err := usageOf(w, uplinkPrefix, &uplinkEnvironment{}); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", sayHelp("Parameters of DLT645_BUS_URL, as in 'serial:///dev/ttyUSB0?baud=9600&parity=none':"))
	for _, p := range busParameters {
		explain(w, p.name, sayHelp(p.byDefault), p.text)
	}
	return nil
}

// usageOf writes the table of the variables that a struct has.
func usageOf(w io.Writer, prefix string, variables any) error {
	var rows bytes.Buffer
	if err := envconfig.Usagef(prefix, variables, &rows, "{{range .}}{{usage_key .}}\t{{usage_default .}}\t{{usage_description .}}\n{{end}}"); err != nil {
		return err
	}
	for row := range strings.Lines(rows.String()) {
		cells := strings.SplitN(strings.TrimSuffix(row, "\n"), "\t", 3)
		explain(w, cells[0], cells[1], cells[2])
	}
	return nil
}

// explain writes what a variable or a parameter means.
func explain(w io.Writer, name, byDefault, text string) {
	if byDefault != "" {
		form := " (default %s)"
		if inChinese() {
			form = "（默认 %s）"
		}
		name += fmt.Sprintf(form, byDefault)
	}
	fmt.Fprintf(w, "  %s\n        %s\n", name, strings.ReplaceAll(sayHelp(strings.ReplaceAll(text, "`", "")), "`", ""))
}
