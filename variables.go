package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
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

// An explained is a variable with what help says of it.
type explained struct{ name, byDefault, meaning string }

// variablesOf lists the variables that a struct of strings has, in its order, under the names that envconfig gives them. What
// envconfig itself offers for that is made of text/template, which keeps two megabytes of methods in the binary.
func variablesOf(prefix string, spec reflect.Type) (all []explained) {
	for i := range spec.NumField() {
		field := spec.Field(i)
		name := field.Name
		if field.Tag.Get("split_words") == "true" {
			name = capitals.ReplaceAllString(name, "$1${3}_$2$4")
		}
		name = strings.ToUpper(prefix + "_" + name)
		if field.Type.Kind() == reflect.Struct {
			all = append(all, variablesOf(name, field.Type)...)
			continue
		}
		all = append(all, explained{name, field.Tag.Get("default"), field.Tag.Get("desc")})
	}
	return all
}

// capitals matches where a word of a name ends and another begins: FileName, CAFile.
var capitals = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// variables lists the names of all variables.
func variables() (names []string) {
	for _, v := range slices.Concat(variablesOf(prefix, reflect.TypeFor[environment]()), variablesOf(uplinkPrefix, reflect.TypeFor[uplinkEnvironment]())) {
		names = append(names, v.name)
	}
	return names
}

// usage writes the table of all variables, and that of the parameters of one.
func usage(w io.Writer) {
	for _, v := range variablesOf(prefix, reflect.TypeFor[environment]()) {
		explain(w, v.name, v.byDefault, v.meaning)
	}
	fmt.Fprintf(w, "\n%s\n", sayHelp("Of the uplink, beside those of DLT645_MQTT_…, DLT645_LOG_LEVEL and DLT645_LOG_FORMAT:"))
	for _, v := range variablesOf(uplinkPrefix, reflect.TypeFor[uplinkEnvironment]()) {
		explain(w, v.name, v.byDefault, v.meaning)
	}
	fmt.Fprintf(w, "\n%s\n", sayHelp("Parameters of DLT645_BUS_URL, as in 'serial:///dev/ttyUSB0?baud=9600&parity=none':"))
	for _, p := range busParameters {
		explain(w, p.name, sayHelp(p.byDefault), p.text)
	}
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
