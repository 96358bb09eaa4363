package homeassistant

import (
	"regexp"
	"strconv"
	"strings"

	"dlt645-mqtt/bridge/points"
)

// The tariffs of a meter that has four, as everybody in China counts them. A meter with another number has
// only their numbers.
var tariffNames = map[string][]string{
	English: {"sharp", "peak", "flat", "valley"},
	Chinese: {"尖", "峰", "平", "谷"},
}

// Home Assistant shows some twenty letters of a name, of which the first ones must tell it from others.
// So names are short, and what is special about a value stands first, but for a phase, which is one letter.
var shortened = []struct{ long, short string }{
	{"forward active ", "forward "}, {"reverse active ", "reverse "}, {"combined active ", "combined "}, {"maximum demand", "demand"},
	{"combined reactive ", "reactive "}, {"quadrant IV ", "Q4 "}, {"quadrant III ", "Q3 "}, {"quadrant II ", "Q2 "}, {"quadrant I ", "Q1 "},
	{"one-minute average total active power", "average power"}, {"one-minute average total reactive power", "average reactive power"},
	{"current active demand", "present demand"}, {"current reactive demand", "present reactive demand"}, {"current apparent demand", "present apparent demand"},
	{"grid frequency", "frequency"}, {"temperature inside the meter", "temperature"}, {"power failure (power-down): count", "power failures"},
	{"remaining money credit", "remaining money"}, {"remaining energy credit", "remaining energy"},
}

var (
	ofPhase      = regexp.MustCompile(`^phase ([A-C])$`)
	ofTariff     = regexp.MustCompile(`^tariff ([0-9]+)$`)
	ofSettlement = regexp.MustCompile(`^settlement ([0-9]+)( back)?$`)
	chineseRate  = regexp.MustCompile(`费率([0-9]+)`)

	// Of these words each flag stands for a phase, and is called the same in all three.
	phaseWords = map[string]string{"status_4": "A", "status_5": "B", "status_6": "C"}
)

// name is what a point is called. Its owner's word holds.
func (b *builder) name(p points.Point, tariffs int) string {
	d := p.Description
	if p.Name != "" {
		return p.Name
	}
	phase := ""
	if word, _, isFlag := strings.Cut(p.Item, "."); isFlag {
		phase = phaseWords[word]
	}
	switch {
	case d.English == "" || b.Language == Chinese && d.Chinese == "":
		return p.Item
	case b.Language == Chinese && phase != "":
		return phase + "相" + d.Chinese
	case b.Language == Chinese:
		return chineseName(d.Chinese, tariffs)
	case phase != "":
		return phase + " " + d.English
	}
	return englishName(d.English, tariffs)
}

// tariff is what the tariff of a number is called.
func tariff(number string, tariffs int, language string) string {
	names := tariffNames[language]
	if n, err := strconv.Atoi(number); err == nil && tariffs == len(names) && n >= 1 && n <= len(names) {
		return names[n-1]
	}
	return "T" + number
}

// chineseName shortens what the dictionary says: the moment and the place of the tariff are usual, its name is shorter.
func chineseName(text string, tariffs int) string {
	text = strings.TrimPrefix(text, "瞬时")
	return chineseRate.ReplaceAllStringFunc(text, func(rate string) string {
		return tariff(strings.TrimPrefix(rate, "费率"), tariffs, Chinese)
	})
}

// englishName turns "forward active energy, tariff 1, settlement 1 back" into "Settlement 1: sharp forward energy".
func englishName(text string, tariffs int) string {
	base, of, _ := strings.Cut(text, ", ")
	if cut, isTime := strings.CutSuffix(base, ": time"); isTime {
		base, of = cut, "time"
	}
	for _, s := range shortened {
		base = strings.Replace(base, s.long, s.short, 1)
	}
	if base == "active power" {
		base = "power"
	}
	var before, settlement string
	for _, part := range strings.FieldsFunc(strings.ReplaceAll(of, ": ", ", "), func(r rune) bool { return r == ',' }) {
		part = strings.TrimSpace(part)
		switch {
		case ofPhase.MatchString(part):
			base += " " + ofPhase.FindStringSubmatch(part)[1]
		case ofTariff.MatchString(part):
			before = tariff(ofTariff.FindStringSubmatch(part)[1], tariffs, English) + " "
		case ofSettlement.MatchString(part):
			settlement = "Settlement " + ofSettlement.FindStringSubmatch(part)[1] + ": "
		case part == "time":
			settlement += "time of "
		default:
			base += ", " + part
		}
	}
	return settlement + before + base
}

// distinct gives names that are the same to several entities what tells them apart: what the dictionary
// calls them in full, else their keys.
func (b *builder) distinct(full map[string]string) {
	for _, tell := range []func(key, name string) string{
		func(key, name string) string {
			if full[key] != "" {
				return full[key]
			}
			return name
		},
		func(key, name string) string { return name + " (" + key + ")" },
	} {
		of := map[string][]string{}
		for key, c := range b.config.Components {
			of[c.Name] = append(of[c.Name], key)
		}
		for name, keys := range of {
			for _, key := range keys {
				if c := b.config.Components[key]; len(keys) > 1 && full[key] != "" {
					c.Name = capital(tell(key, name))
					b.config.Components[key] = c
				}
			}
		}
	}
}
