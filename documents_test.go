package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/kelseyhightower/envconfig"

	"dlt645-mqtt/bridge"
)

// TestVariablesInREADME compares the table in both READMEs with the struct that reads the
// variables. The Chinese one has its own words, but the same names and defaults.
func TestVariablesInREADME(t *testing.T) {
	var want bytes.Buffer
	const row = "{{range .}}| `{{usage_key .}}` | {{with usage_default .}}`{{.}}`{{end}} | {{usage_description .}} |\n{{end}}"
	if err := envconfig.Usagef(prefix, &environment{}, &want, row); err != nil {
		t.Fatal(err)
	}
	table := between(t, "README.md", "| --- | --- | --- |\n", "<!-- end of variables -->")
	if got := table; got != want.String() {
		t.Errorf("the table of variables in README.md should be\n%s", want.String())
	}
	chinese := between(t, "README.zh-CN.md", "| --- | --- | --- |\n", "<!-- end of variables -->")
	cells := regexp.MustCompile(`(?m)^(\| [^|]*\| [^|]*\|).*$`)
	if got, want := cells.ReplaceAllString(chinese, "$1"), cells.ReplaceAllString(want.String(), "$1"); got != want {
		t.Errorf("names and defaults in README.zh-CN.md should be\n%s", want)
	}
}

// TestVariablesOf compares the variables that help lists with those that envconfig reads.
func TestVariablesOf(t *testing.T) {
	for prefix, spec := range map[string]any{prefix: &environment{}, uplinkPrefix: &uplinkEnvironment{}} {
		var want bytes.Buffer
		if err := envconfig.Usagef(prefix, spec, &want, "{{range .}}{{usage_key .}}\t{{usage_default .}}\t{{usage_description .}}\n{{end}}"); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, v := range variablesOf(prefix, reflect.TypeOf(spec).Elem()) {
			got += v.name + "\t" + v.byDefault + "\t" + v.meaning + "\n"
		}
		if got != want.String() {
			t.Errorf("help lists\n%swant\n%s", got, &want)
		}
	}
}

// TestUplinkVariablesInDocuments compares the tables of the uplink's pages with the struct that
// reads the variables.
func TestUplinkVariablesInDocuments(t *testing.T) {
	var want bytes.Buffer
	const row = "{{range .}}| `{{usage_key .}}` | {{with usage_default .}}`{{.}}`{{end}} | {{usage_description .}} |\n{{end}}"
	if err := envconfig.Usagef(uplinkPrefix, &uplinkEnvironment{}, &want, row); err != nil {
		t.Fatal(err)
	}
	table := func(name string) string {
		_, text, _ := strings.Cut(readFile(t, name), "<!-- uplink variables")
		_, text, _ = strings.Cut(text, "| --- | --- | --- |\n")
		text, _, _ = strings.Cut(text, "<!-- end of uplink variables -->")
		return text
	}
	if got := table("docs/uplink.md"); got != want.String() {
		t.Errorf("the table of variables in docs/uplink.md should be\n%s", want.String())
	}
	cells := regexp.MustCompile(`(?m)^(\| [^|]*\| [^|]*\|).*$`)
	if got, want := cells.ReplaceAllString(table("docs/uplink.zh-CN.md"), "$1"), cells.ReplaceAllString(want.String(), "$1"); got != want {
		t.Errorf("names and defaults in docs/uplink.zh-CN.md should be\n%s", want)
	}
}

// TestParametersInREADME compares the table of the bus URL's parameters in both READMEs with help,
// and with what a bus URL takes.
func TestParametersInREADME(t *testing.T) {
	english, chinese := readFile(t, "README.md"), readFile(t, "README.zh-CN.md")
	for _, p := range busParameters {
		byDefault := strings.TrimLeft(p.byDefault+" ", " ")
		if row := fmt.Sprintf("| `%s` | %s| %s |\n", p.name, byDefault, p.text); !strings.Contains(english, row) {
			t.Errorf("README.md has no row %s", row)
		}
		if !strings.Contains(chinese, fmt.Sprintf("| `%s` | ", p.name)) {
			t.Errorf("README.zh-CN.md has no row of %s", p.name)
		}
		known := false
		for _, url := range []string{"serial:///dev/ttyUSB0", "listen://127.0.0.1:4001", "mqtt:"} {
			_, err := busConfig(url + "?" + p.name + "=x")
			known = known || err == nil || !strings.Contains(err.Error(), "does not know")
		}
		if !known {
			t.Errorf("no bus URL takes %s", p.name)
		}
	}
}

// between returns the part of a file after the table of variables begins, up to an end.
func between(t *testing.T, name, begin, end string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, name), "<!-- variables")
	_, text, begun := strings.Cut(text, begin)
	text, _, ended := strings.Cut(text, end)
	if !found || !begun || !ended {
		t.Fatalf("%s has no table of variables", name)
	}
	return text
}

// TestNewcomersCommands looks in both READMEs for the commands that CI runs as a newcomer would, each a line of its own.
func TestNewcomersCommands(t *testing.T) {
	commands := regexp.MustCompile(`(?m)^    readme '(.+)'$`).FindAllStringSubmatch(readFile(t, ".ci/run"), -1)
	if len(commands) != 2 {
		t.Fatalf(".ci/run has %d commands of a newcomer, want the demo and the tests", len(commands))
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		for _, command := range commands {
			if !strings.Contains(readFile(t, name), "\n"+command[1]+"\n") {
				t.Errorf("%s has no line %q", name, command[1])
			}
		}
	}
}

// TestCommandsInDocuments looks for every command in README and help.
func TestCommandsInDocuments(t *testing.T) {
	var help bytes.Buffer
	if status := run(t.Context(), []string{"help"}, nil, &help, &help); status != 0 {
		t.Fatalf("help: status %d: %s", status, &help)
	}
	for _, c := range commands() {
		for name, text := range map[string]string{"README.md": readFile(t, "README.md"), "README.zh-CN.md": readFile(t, "README.zh-CN.md"), "help": help.String()} {
			if !strings.Contains(text, "dlt645-mqtt "+c.name) && !strings.Contains(text, "`"+c.name+"`") {
				t.Errorf("%s does not mention the command %s", name, c.name)
			}
		}
	}
	for _, name := range variables() {
		if !strings.Contains(help.String(), name) {
			t.Errorf("help does not mention %s", name)
		}
	}
}

// TestExitStatusesInHelp ends commands in each of the ways that help lists.
func TestExitStatusesInHelp(t *testing.T) {
	_, help, _ := execute(t, "", "help")
	_, list, _ := strings.Cut(help, "\nExit status:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	listed := map[int]bool{}
	for _, match := range regexp.MustCompile(`(?m)^  (\d+) `).FindAllStringSubmatch(list, -1) {
		status, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		listed[status] = true
	}
	setAll(t, map[string]string{"DLT645_MQTT_URL": "", "DLT645_BUS_URL": "nowhere", "DLT645_TOPIC": "no-such-bridge"})
	for arguments, want := range map[string]int{
		"version":                       0,
		"decode 68":                     1,
		"items nosuchitem":              1,
		"healthcheck":                   1,
		"nosuchcommand":                 2,
		"healthcheck -x":                2,
		"scan -speeds fast":             2,
		"decode -protocol nosuch 68":    2,
		"read 1 voltage_a":              statusConfiguration,
		"scan":                          statusConfiguration,
		"items -protocol nosuch energy": statusConfiguration,
		"":                              statusConfiguration,
		"points template":               statusConfiguration,
		"demo":                          statusConfiguration,
	} {
		status, _, stderr := execute(t, "", strings.Fields(arguments)...)
		if status != want || !listed[status] {
			t.Errorf("%q ends with status %d, want %d, and help lists %v: %s", arguments, status, want, listed, stderr)
		}
	}
}

// TestErrorCodesInTopics compares the table of error codes with the code, both ways.
func TestErrorCodesInTopics(t *testing.T) {
	_, section, _ := strings.Cut(readFile(t, "topics.md"), "## Error codes\n")
	var documented []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, match[1])
	}
	var codes []string
	for _, code := range bridge.Codes {
		codes = append(codes, string(code))
	}
	_, inChinese, _ := strings.Cut(readFile(t, "topics.zh-CN.md"), "## 错误码\n")
	for _, code := range codes {
		if !strings.Contains(inChinese, "\n| `"+code+"` | ") {
			t.Errorf("topics.zh-CN.md does not say what %s means", code)
		}
	}
	if got, want := strings.Join(documented, " "), strings.Join(codes, " "); got != want {
		t.Errorf("topics.md has the codes %s\nthe code has %s", got, want)
	}
	for _, verb := range bridge.Verbs {
		if !strings.Contains(readFile(t, "topics.md"), "`"+verb+"`") {
			t.Errorf("topics.md does not mention the verb %s", verb)
		}
	}
}

// TestFramesInDocuments decodes every frame that the documents show, so that none is wrong.
func TestFramesInDocuments(t *testing.T) {
	frame := regexp.MustCompile(`(?:FE ?)*68(?: ?[0-9A-F]{2}){6} ?68(?: ?[0-9A-F]{2})+ ?16\b`)
	for _, name := range []string{"README.md", "README.zh-CN.md", "topics.md", "topics.zh-CN.md", "examples/node-red/README.md", "examples/node-red/README.zh-CN.md"} {
		frames := frame.FindAllString(readFile(t, name), -1)
		if len(frames) == 0 {
			t.Errorf("%s shows no frame", name)
		}
		for _, hex := range frames {
			var out, stderr bytes.Buffer
			if status := run(t.Context(), []string{"decode", hex}, nil, &out, &stderr); status != 0 {
				t.Errorf("%s: frame %s: %s", name, hex, &stderr)
			}
			if hex == frames[0] && !strings.Contains(out.String(), fmt.Sprintf(`"control":%q`, "11")) {
				t.Errorf("%s: the first frame is no read: %s", name, &out)
			}
		}
	}
}

// TestDocumentsNameTests looks for every test that a document names: whoever reads it must be able
// to run what it rests on.
func TestDocumentsNameTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(readFile(t, path), -1) {
			tests[match[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("documents %v, %v", documents, err)
	}
	for _, document := range documents {
		text := readFile(t, document)
		for _, match := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(text, -1) {
			if !tests[match[1]] {
				t.Errorf("%s names %s, which there is not", document, match[1])
			}
		}
	}
	// In these tables each line is a claim, and names the test that shows it.
	for _, document := range []string{"docs/security.md", "docs/security.zh-CN.md", "docs/conformance.md", "docs/conformance.zh-CN.md"} {
		last := -1 // the column of tests
		for line := range strings.Lines(readFile(t, document)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
			switch {
			case !strings.HasPrefix(line, "|"):
				last = -1
			case strings.TrimSpace(cells[len(cells)-1]) == "test", strings.TrimSpace(cells[len(cells)-1]) == "测试":
				last = len(cells) - 1
			case last >= 0 && !strings.HasPrefix(line, "| ---") && (len(cells) != last+1 || !strings.Contains(cells[last], "`Test") && !strings.Contains(cells[last], "`Fuzz")):
				t.Errorf("%s: %s names no test", document, line)
			}
		}
	}
}

// TestContainersInDocuments looks for each service that the pages of installation start in
// compose.yaml, and for each build argument that any page names in the Dockerfile.
func TestContainersInDocuments(t *testing.T) {
	composed, dockerfile := readFile(t, "compose.yaml"), readFile(t, "Dockerfile")
	for _, name := range []string{"docs/install.md", "docs/install.zh-CN.md"} {
		started := regexp.MustCompile(`docker compose (?:--[a-z-]+ )*(?:up -d|run --rm)(?: --[a-z-]+)* ([a-z][a-z-]*)`).FindAllStringSubmatch(readFile(t, name), -1)
		if len(started) == 0 {
			t.Errorf("%s starts no service", name)
		}
		for _, match := range started {
			if !strings.Contains(composed, "\n  "+match[1]+":\n") {
				t.Errorf("%s starts %s, which is no service of compose.yaml", name, match[1])
			}
		}
	}
	for _, name := range []string{"README.md", "README.zh-CN.md", "docs/install.md", "docs/install.zh-CN.md"} {
		for _, match := range regexp.MustCompile(`--build-arg ([A-Z_]+)=`).FindAllStringSubmatch(readFile(t, name), -1) {
			if !regexp.MustCompile(`(?m)^ARG ` + match[1] + `\b`).MatchString(dockerfile) {
				t.Errorf("%s names the build argument %s, which the Dockerfile does not take", name, match[1])
			}
		}
	}
	// Whoever cannot download must find each argument that says where from.
	for _, match := range regexp.MustCompile(`(?m)^ARG (GO[A-Z_]*)`).FindAllStringSubmatch(dockerfile, -1) {
		if match[1] != "GO_VERSION" && !strings.Contains(readFile(t, "README.zh-CN.md"), "`"+match[1]+"`") {
			t.Errorf("README.zh-CN.md does not name the build argument %s", match[1])
		}
	}
}

// pagesWithTwins are the pages that have a Chinese twin, in English: all under docs, and the contract.
func pagesWithTwins(t *testing.T) (pages []string) {
	t.Helper()
	all, err := filepath.Glob("docs/*.md")
	if err != nil || len(all) == 0 {
		t.Fatalf("pages %v, %v", all, err)
	}
	for _, page := range append(all, "topics.md") {
		if !strings.HasSuffix(page, ".zh-CN.md") {
			pages = append(pages, page)
		}
	}
	return pages
}

// twin is the Chinese page of an English one.
func twin(page string) string { return strings.TrimSuffix(page, ".md") + ".zh-CN.md" }

// TestChinesePages compares each page with its Chinese twin: it has the same headings, tables with as many rows, and blocks of code, in
// the same order; what code, names and tests stand in each row is the same; and each leads to the other.
func TestChinesePages(t *testing.T) {
	for _, english := range pagesWithTwins(t) {
		page := twin(english)
		if got, want := skeleton(readFile(t, page)), skeleton(readFile(t, english)); !slices.Equal(got, want) {
			t.Errorf("%s has %v\n%s has %v", page, got, english, want)
			continue
		}
		for from, to := range map[string]string{page: english, english: page} {
			if !strings.Contains(readFile(t, from), "]("+filepath.Base(to)) {
				t.Errorf("%s does not lead to %s", from, to)
			}
		}
		rows, want := tableRows(readFile(t, page)), tableRows(readFile(t, english))
		if len(rows) != len(want) {
			t.Errorf("the tables of %s have %d rows, those of %s %d", page, len(rows), english, len(want))
			continue
		}
		for i := range rows {
			// Only the tests: words for people may be code in one language and not in the other.
			if got, want := testsIn(rows[i]), testsIn(want[i]); !slices.Equal(got, want) {
				t.Errorf("%s: %s names the tests %v, the same row in English %v", page, rows[i], got, want)
			}
		}
	}
}

// TestContractInChinese compares what programs rest on in topics.zh-CN.md with topics.md: the first cell of each row of its tables, and the examples.
func TestContractInChinese(t *testing.T) {
	english, chinese := readFile(t, "topics.md"), readFile(t, "topics.zh-CN.md")
	code := regexp.MustCompile("`[^`]+`")
	rows, want := tableRows(chinese), tableRows(english)
	for i := range min(len(rows), len(want)) {
		first, wanted := strings.Split(rows[i], " | ")[0], strings.Split(want[i], " | ")[0]
		if got, want := code.FindAllString(first, -1), code.FindAllString(wanted, -1); !slices.Equal(got, want) {
			t.Errorf("topics.zh-CN.md: %s begins with %v, in English with %v", rows[i], got, want)
		}
	}
	block := regexp.MustCompile("(?ms)^```.*?^```$")
	if got, want := block.FindAllString(chinese, -1), block.FindAllString(english, -1); !slices.Equal(got, want) {
		t.Error("the examples of topics.zh-CN.md are not those of topics.md")
	}
}

// TestChinesePagesStayChinese follows the links of Chinese pages: where a page has a Chinese twin, they lead to that.
func TestChinesePagesStayChinese(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+\.md)(?:#[^)\s]*)?\)`)
	for _, pattern := range []string{"*.zh-CN.md", "docs/*.zh-CN.md", "examples/*/*.zh-CN.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v, %v", pattern, pages, err)
		}
		for _, page := range pages {
			for _, match := range link.FindAllStringSubmatch(readFile(t, page), -1) {
				target := filepath.Join(filepath.Dir(page), match[1])
				if strings.HasSuffix(target, ".zh-CN.md") || twin(target) == page {
					continue
				}
				if _, err := os.Stat(twin(target)); err == nil {
					t.Errorf("%s leads to %s, which has a Chinese twin", page, match[1])
				}
			}
		}
	}
}

// tableRows lists the rows of all tables of a page.
func tableRows(markdown string) (rows []string) {
	inCode := false
	for line := range strings.Lines(markdown) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
		}
		if !inCode && strings.HasPrefix(line, "|") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows
}

// testsIn lists the tests that a row of a table names.
func testsIn(row string) []string {
	return regexp.MustCompile("`(?:Test|Fuzz|Benchmark)[A-Z]\\w*`").FindAllString(row, -1)
}

// skeleton lists the headings of a page by their level, and its tables and blocks of code.
func skeleton(markdown string) (parts []string) {
	inCode, inTable := false, false
	for line := range strings.Lines(markdown) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			if inCode = !inCode; inCode {
				parts = append(parts, trimmed)
			}
		case inCode:
		case strings.HasPrefix(line, "#"):
			level, _, _ := strings.Cut(line, " ")
			parts = append(parts, level)
		case strings.HasPrefix(line, "|") && !inTable:
			parts = append(parts, "table")
		}
		inTable = !inCode && strings.HasPrefix(line, "|")
	}
	return parts
}

// TestLinksInDocuments follows every link within the repository, to its heading if it names one.
func TestLinksInDocuments(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, document := range documents {
		for _, match := range link.FindAllStringSubmatch(readFile(t, document), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			name, heading, _ := strings.Cut(match[1], "#")
			target := document
			if name != "" {
				target = filepath.Join(filepath.Dir(document), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link %s: %v", document, match[1], err)
				continue
			}
			if heading != "" && !slices.Contains(anchors(readFile(t, target)), heading) {
				t.Errorf("%s: link %s: %s has no such heading", document, match[1], target)
			}
		}
	}
}

// anchors lists the names that headings can be linked by.
func anchors(markdown string) (names []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(markdown, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, match[1])
		names = append(names, name)
	}
	return names
}

// TestWalksInCONTRIBUTING follows the ways through the files that CONTRIBUTING.md describes: each function is in its file,
// and is named by one before it, unless it has a goroutine of its own.
func TestWalksInCONTRIBUTING(t *testing.T) {
	_, text, _ := strings.Cut(readFile(t, "CONTRIBUTING.md"), "## Following a request\n")
	text, _, _ = strings.Cut(text, "\n## ")
	line := regexp.MustCompile("^([0-9]+)\\. `([a-z0-9_/]+\\.go)`: (`.*)$")
	name := regexp.MustCompile("`([A-Za-z]+)`")
	walks := 0
	var named map[string]bool // by the functions that were passed
	for text := range strings.Lines(text) {
		parts := line.FindStringSubmatch(strings.TrimSpace(text))
		if parts == nil {
			continue
		}
		if parts[1] == "1" {
			walks++
			named = nil
		}
		bodies := functionsIn(t, parts[2])
		for _, match := range name.FindAllStringSubmatch(parts[3], -1) {
			function := match[1]
			names, ok := bodies[function]
			switch {
			case !ok:
				t.Errorf("%s has no function %s", parts[2], function)
			case named != nil && !named[function] && !strings.Contains(text, "goroutine of its own"):
				t.Errorf("nothing before calls %s in %s", function, parts[2])
			}
			if named == nil {
				named = map[string]bool{}
			}
			maps.Copy(named, names)
		}
	}
	if walks != 3 {
		t.Errorf("CONTRIBUTING.md has %d walks, want 3", walks)
	}
}

// functionsIn returns the functions and methods of a file, each with the names that its body has.
func functionsIn(t *testing.T, file string) map[string]map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]map[string]bool{}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		names := functions[function.Name.Name]
		if names == nil {
			names = map[string]bool{}
			functions[function.Name.Name] = names
		}
		ast.Inspect(function.Body, func(n ast.Node) bool {
			if identifier, ok := n.(*ast.Ident); ok {
				names[identifier.Name] = true
			}
			return true
		})
	}
	return functions
}
