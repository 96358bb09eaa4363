package dlt645

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReference compares our tables with tables that others have made of the standard:
// di-2007.csv, di-1997.csv and records-2007.csv in the directory that REFERENCE_TABLES names.
// Each identifier must have the same length, pictures, signs, units and access, or the
// difference must be in testdata/differences.csv, with its reason; and a difference that is
// there must be one. The columns of those files are
//
//	di         with lower-case letters where it runs; ranges: "nn=01..3F;mm=01..0C"
//	format     pictures joined by "+", "*n" repeats (a letter: as often as the meter has
//	           them), "layout 10" refers to records-2007.csv, "per item" to one line of it
//	length_bytes, unit, signed (yes or no, for all numbers), access, notes
//	layout, seq, format, unit, signed   of records-2007.csv, one line a field
func TestReference(t *testing.T) {
	directory := os.Getenv("REFERENCE_TABLES")
	if directory == "" {
		t.Skip("REFERENCE_TABLES does not name a directory with di-2007.csv, di-1997.csv and records-2007.csv to compare with")
	}
	layouts := make(map[string][]referenceLine)
	for _, line := range readReference(t, filepath.Join(directory, "records-2007.csv")) {
		layouts[line["layout"]] = append(layouts[line["layout"]], line)
	}
	t.Parallel()
	found := make(map[difference]bool)
	for _, v := range editions {
		r := reference{dictionary: Items(v), layouts: layouts, lines: readReference(t, filepath.Join(directory, "di-"+v.String()+".csv"))}
		r.compare(t)
		for _, d := range r.found {
			d.edition = v.String()
			found[d] = true
		}
	}
	listed := make(map[difference]string)
	for _, line := range readReference(t, filepath.Join("testdata", "differences.csv")) {
		d := difference{line["edition"], line["di"], line["what"], line["reference"], line["ours"]}
		if listed[d] != "" || line["reason"] == "" {
			t.Errorf("differences.csv lists %q twice, or without a reason", d)
		}
		listed[d] = line["reason"]
		if !found[d] {
			t.Errorf("differences.csv lists %q, which is no difference any more", d)
		}
	}
	for _, d := range slices.SortedFunc(maps.Keys(found), difference.compare) {
		if listed[d] == "" {
			t.Errorf("a difference that differences.csv does not explain: %s,%s,%s,%q,%q", d.edition, d.di, d.what, d.reference, d.ours)
		}
	}
}

// A difference is one between the tables. di is the pattern of the line, in the reference or,
// if that lacks it, in ours.
type difference struct{ edition, di, what, reference, ours string }

func (d difference) compare(e difference) int {
	return strings.Compare(fmt.Sprint(d), fmt.Sprint(e))
}

// A referenceLine is a line of a table by column.
type referenceLine map[string]string

func readReference(t *testing.T, path string) []referenceLine {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var lines []referenceLine
	for _, record := range records[1:] {
		line := make(referenceLine)
		for i, column := range records[0] {
			line[column] = record[i]
		}
		lines = append(lines, line)
	}
	return lines
}

// A reference is the table of one edition.
type reference struct {
	dictionary *Dictionary
	lines      []referenceLine
	layouts    map[string][]referenceLine
	found      []difference
}

// A leaf is one value on the wire: a picture without sign, a sign, a unit.
type leaf struct {
	picture string
	signed  bool
	unit    string
}

func (r *reference) compare(t *testing.T) {
	known := make(map[DI]bool)
	for _, line := range r.lines {
		seen := make(map[difference]bool) // what all items of a line have in common is one difference
		for _, digits := range expand(line["di"], line["ranges"]) {
			di, err := ParseDI(digits, r.dictionary.version)
			if err != nil {
				t.Fatalf("%s: %v", line["di"], err)
			}
			known[di] = true
			for _, d := range r.differences(t, line, di) {
				d.di = line["di"]
				if !seen[d] {
					r.found = append(r.found, d)
				}
				seen[d] = true
			}
		}
	}
	for f := range r.dictionary.families() {
		if n := countUnknown(f, known); n > 0 {
			r.found = append(r.found, difference{di: f.row.DI, what: "missing there", ours: fmt.Sprintf("%s (%d)", f.row.Name, n)})
		}
	}
}

// countUnknown returns how many identifiers of a family are not known.
func countUnknown(f *family, known map[DI]bool) (n int) {
	every := []positions{{}}
	for k := range f.letters {
		if f.letters[k].bits == 0 {
			continue
		}
		var longer []positions
		for _, at := range every {
			for p := range f.letters[k].options {
				at[k] = uint8(p)
				longer = append(longer, at)
			}
		}
		every = longer
	}
	for _, at := range every {
		if item, ok := f.valid(f.owner(at)); ok && !known[item.DI] {
			n++
		}
	}
	return n
}

// expand returns the identifiers of a pattern. A range follows the run of its letter.
func expand(pattern, ranges string) []string {
	every := []string{pattern}
	for part := range strings.SplitSeq(ranges, ";") {
		letters, list, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		low, high, _ := strings.Cut(list, "..")
		from, _ := strconv.ParseUint(low, 16, 8)
		to, _ := strconv.ParseUint(high, 16, 8)
		var longer []string
		for _, digits := range every {
			for n := from; n <= to; n++ {
				longer = append(longer, strings.Replace(digits, letters, fmt.Sprintf("%0*X", len(letters), n), 1))
			}
		}
		every = longer
	}
	return every
}

// differences compares one identifier.
func (r *reference) differences(t *testing.T, line referenceLine, di DI) []difference {
	item, ok := r.dictionary.Lookup(di)
	if !ok {
		return []difference{{what: "missing here", reference: line["name_en"]}}
	}
	var found []difference
	differ := func(what, reference, ours string) {
		if reference != ours {
			found = append(found, difference{what: what, reference: reference, ours: ours})
		}
	}
	differ("access", line["access"], item.Access)
	ours := leavesOf(item)
	if load, ok := item.family.codec.(loadRecord); ok {
		// The format of these lines is that of the request.
		if len(load.classes) != 6 || line["group"] != "load-record" {
			differ("picture", line["format"], item.family.row.Picture)
		}
		return found
	}
	theirs, perLeaf, ok := r.leaves(t, line, di, ours)
	if !ok {
		differ("picture", line["format"], runs(ours, leaf.plain))
		return found
	}
	differ("picture", runs(theirs, leaf.plain), runs(ours, leaf.plain))
	if _, err := strconv.Atoi(line["length_bytes"]); err == nil {
		differ("length", line["length_bytes"], strconv.Itoa(length(ours)))
	}
	if !perLeaf {
		differ("unit", spellings.Replace(line["unit"]), strings.Join(unitsOf(ours), ","))
	}
	if runs(theirs, leaf.plain) != runs(ours, leaf.plain) {
		return found
	}
	differ("sign", runs(theirs, leaf.withSign), runs(ours, leaf.withSign))
	if perLeaf {
		for k := range ours {
			// A few lines are about active and reactive power alike.
			if both := theirs[k].unit; (both == "kW/kvar" || both == "kW,kvar") && (ours[k].unit == "kW" || ours[k].unit == "kvar") {
				theirs[k].unit = ours[k].unit
			}
		}
		isNoNumber := func(l leaf) bool { return !l.isNumber() }
		theirs, ours = slices.DeleteFunc(theirs, isNoNumber), slices.DeleteFunc(ours, isNoNumber)
		differ("unit", runs(theirs, leaf.itsUnit), runs(ours, leaf.itsUnit))
	}
	return found
}

func (l leaf) plain() string { return l.picture }

func (l leaf) isNumber() bool {
	p, err := ParsePicture(l.picture)
	return err == nil && p.kind == number
}

func (l leaf) withSign() string {
	if l.signed && l.isNumber() {
		return "±" + l.picture
	}
	return l.picture
}

func (l leaf) itsUnit() string { return l.unit }

// runs writes what say says of each leaf; what comes again as "XX*3".
func runs(leaves []leaf, say func(leaf) string) string {
	var texts []string
	for i := 0; i < len(leaves); {
		n := i
		for n < len(leaves) && say(leaves[n]) == say(leaves[i]) {
			n++
		}
		text := say(leaves[i])
		if n > i+1 {
			text += fmt.Sprintf("*%d", n-i)
		}
		texts = append(texts, text)
		i = n
	}
	return strings.Join(texts, "+")
}

func length(leaves []leaf) (n int) {
	for _, l := range leaves {
		if l.picture == "AA" {
			n++
			continue
		}
		p, err := ParsePicture(l.picture)
		if err != nil {
			return -1
		}
		n += p.Size()
	}
	return n
}

// unitsOf returns the units of the numbers, each once, as the reference spells them.
func unitsOf(leaves []leaf) []string {
	var units []string
	for _, l := range leaves {
		if l.isNumber() && !slices.Contains(units, l.unit) {
			units = append(units, l.unit)
		}
	}
	return units
}

// spellings are our units by those of the reference. What is counted has no unit here.
var spellings = strings.NewReplacer("degC", "°C", "deg", "°", "count", "")

// leavesOf returns what our table says.
func leavesOf(item Item) []leaf {
	f := item.family
	switch codec := f.codec.(type) {
	case *concatenation:
		parts, _ := codec.items(item)
		var leaves []leaf
		for _, part := range parts {
			leaves = append(leaves, leavesOf(part)...)
		}
		return leaves
	case activeReport:
		return slices.Concat([]leaf{{picture: codec.word.text}, {picture: "AA"}}, slices.Repeat([]leaf{{picture: "NN"}}, 8*reportSize), []leaf{{picture: "AA"}})
	case loadRecord:
		return nil
	}
	var leaves []leaf
	for at := range item.members() {
		for k := range f.fields {
			form, unit := f.form(k, at)
			leaves = append(leaves, leavesOfForm(form, unit)...)
		}
	}
	return leaves
}

func leavesOfForm(f *form, unit string) []leaf {
	leaves := []leaf{{strings.TrimPrefix(f.picture.text, "±"), f.picture.signed, unit}}
	if f.record != nil {
		leaves = nil
		for i := range f.record {
			leaves = append(leaves, leavesOfForm(&f.record[i].form, f.record[i].unit)...)
		}
	}
	return slices.Repeat(leaves, max(f.repeat, 1))
}

var layoutName = regexp.MustCompile(`layout ([0-9A-F]+)`)

// leaves returns what the reference says. Where that names a number by a letter, it is as
// many as ours. perLeaf reports whether it gives a unit for each.
func (r *reference) leaves(t *testing.T, line referenceLine, di DI, ours []leaf) (leaves []leaf, perLeaf, ok bool) {
	switch line["format"] {
	case "per item":
		fields := r.layouts[fmt.Sprintf("%02X", uint32(di)>>24)]
		return r.layoutLeaves(t, fields[(di>>8&0xFF)-1:di>>8&0xFF]), true, true
	case "time+items", "blocks":
		// The other identifiers of the class, those with running parts as their block.
		for _, other := range r.lines {
			part := other["di"]
			all := r.dictionary.version == V1997 && strings.HasSuffix(part, "F")
			if part == line["di"] || !strings.HasPrefix(part, line["di"][:len(part)/2]) || other["ranges"] != line["ranges"] || r.dictionary.version == V1997 && !all {
				continue
			}
			terms, fine := terms(other["format"], other["length_bytes"])
			if !fine {
				return nil, false, false
			}
			for _, term := range terms {
				count := term.count
				if count == 0 {
					count = 64
					if r.dictionary.version == V1997 {
						count = 15
					}
				}
				for _, l := range slices.Repeat(term.pictures, count) {
					leaves = append(leaves, leaf{l, other["signed"] == "yes", spellings.Replace(other["unit"])})
				}
			}
		}
		return leaves, true, leaves != nil
	}
	if name := layoutName.FindStringSubmatch(line["format"] + " " + line["notes"]); name != nil && r.layouts[name[1]] != nil {
		return r.layoutLeaves(t, r.layouts[name[1]]), true, true
	}
	parsed, ok := terms(line["format"], line["length_bytes"])
	if !ok {
		return nil, false, false
	}
	known, open := 0, 0
	for _, term := range parsed {
		known += term.count * len(term.pictures)
		if term.count == 0 {
			open = len(term.pictures)
		}
	}
	for _, term := range parsed {
		count := term.count
		if count == 0 {
			count = max(1, (len(ours)-known)/open)
		}
		for _, picture := range slices.Repeat(term.pictures, count) {
			leaves = append(leaves, leaf{picture, line["signed"] == "yes", ""})
		}
	}
	return leaves, false, true
}

func (r *reference) layoutLeaves(t *testing.T, fields []referenceLine) (leaves []leaf) {
	t.Helper()
	for _, field := range fields {
		parsed, ok := terms(field["format"], field["length_bytes"])
		if !ok {
			t.Fatalf("layout %s: %s is no format", field["layout"], field["format"])
		}
		for _, term := range parsed {
			for _, picture := range slices.Repeat(term.pictures, term.count) {
				leaves = append(leaves, leaf{picture, field["signed"] == "yes", spellings.Replace(field["unit"])})
			}
		}
	}
	return leaves
}

// A term of a format is one or several pictures, so many times; 0 stands for a letter.
type term struct {
	pictures []string
	count    int
}

// terms reads a format such as "YYMMDDhhmm+(XX.XX+NN)*3+NN*n".
func terms(format, length string) (list []term, ok bool) {
	for format != "" {
		var text string
		inner, behind, group := strings.Cut(strings.TrimPrefix(format, "("), ")")
		if group = group && strings.HasPrefix(format, "("); group {
			text, format, _ = strings.Cut(behind, "+")
		} else {
			text, format, _ = strings.Cut(format, "+")
		}
		factors := strings.Split(text, "*")
		one := term{[]string{factors[0]}, 1}
		counts := factors[1:]
		switch {
		case group:
			one.pictures = nil
			parts, ok := terms(inner, "")
			if !ok {
				return nil, false
			}
			for _, part := range parts {
				one.pictures = append(one.pictures, slices.Repeat(part.pictures, part.count)...)
			}
		case factors[0] == "C0C1C2C3":
			one.pictures[0] = "HEX:4"
		case factors[0] == "ASCII" && len(counts) == 0:
			one.pictures[0] = "ASCII:" + length
		case factors[0] == "HEX" || factors[0] == "ASCII":
			if len(counts) == 0 {
				return nil, false
			}
			one.pictures[0], counts = factors[0]+":"+counts[0], counts[1:]
		}
		for _, count := range counts {
			n, err := strconv.Atoi(count)
			if err != nil && len(count) != 1 {
				return nil, false
			}
			one.count *= n
		}
		for _, picture := range one.pictures {
			if _, err := ParsePicture(picture); err != nil && picture != "AA" {
				return nil, false
			}
		}
		list = append(list, one)
	}
	return list, len(list) > 0
}
