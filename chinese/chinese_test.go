package chinese

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// TestTranslate puts into Chinese what is put together: wrapped errors, names before them, values that look like sentences.
func TestTranslate(t *testing.T) {
	for english, want := range map[string]string{
		"bus is up":   "总线已接通",
		"voltage_a":   "voltage_a",
		"":            "",
		"no such one": "no such one",
		"DLT645_BUS_URL: is missing: say where the meters are, such as serial:///dev/ttyUSB0 (or try: dlt645-mqtt demo)":                                                     "DLT645_BUS_URL：未设置：请填写电能表接在哪里，如 serial:///dev/ttyUSB0（也可以先试试：dlt645-mqtt demo）",
		`DLT645_PROTOCOL: "a: b; c" is no protocol; there are 2007, 1997`:                                                                                                    `DLT645_PROTOCOL："a: b; c" 不是规约；可用的有 2007, 1997`,
		"open /dev/ttyUSB0: no such device: plug the adapter in, or pass the device to the container; there are no serial lines here":                                        "打开 /dev/ttyUSB0：没有这个设备：请插上转换器，或把设备映射给容器；本机没有串口",
		"nobody knows whether the meter did it: no answer: the port failed before 000000000001 could answer: the bus is down; look at the meter's state before asking again": "不知道电能表是否执行：没有应答：000000000001 还没来得及应答，端口就出错了：总线断开；请先查看电能表的状态，再决定是否重发",
		"The meter answers as 000000000002 now. Change the address in DLT645_METERS and start the bridge again.":                                                             "电能表现在以 000000000002 应答。请修改 DLT645_METERS 里的地址，并重新启动网桥。",
		"DLT645_BUS_URL: latency=4 of the bus URL: write a time with its unit from 0s to 5s, as in 500ms or 2s":                                                              "DLT645_BUS_URL：总线地址的 latency=4：请写 0s 到 5s 的带单位的时间，如 500ms 或 2s",
		"read 02010100 from 000000000001: no valid answer: byte 2 is A5H, but XXX.X has only 3 digits; the data, first byte first: 00 A5":                                    "抄读 000000000001 的 02010100：没有有效的应答：第 2 字节是 A5H，而 XXX.X 只有 3 位数字；数据（先收到的在前）：00 A5",
		"get normal 20000200 to 000000000010: no valid answer: the type of a value takes 1 bytes, 0 are left; the data, first byte first: 85 01 and 70 bytes more":           "get normal 20000200（发给 000000000010）：没有有效的应答：数据类型要 1 字节，剩 0 字节；数据（先收到的在前）：85 01，另有 70 字节",
		"no valid answer: what came after the request to 7 is no answer to it: slave 9 answers (read holding registers, 7 bytes), where slave 7 was asked; speed, parity and wiring are right, for the frame is sound; check that only one meter has this address, and that no second master is on the bus": "没有有效的应答：问 7 之后收到的不是它的应答：从站 9 应答（read holding registers，7 字节），而问的是从站 7；帧是完好的，所以波特率、校验和接线没有问题；请检查是否只有一块表用这个地址，总线上有没有另一个主站",
		"read 02020100 from 000012345678: current_a: no valid answer: 2 bytes are left for ±XXX.XXX, which takes 3; the data, first byte first: 01 50":                                                                                                                                                      "抄读 000012345678 的 02020100：current_a：没有有效的应答：留给 ±XXX.XXX 的只有 2 字节，应为 3 字节；数据（先收到的在前）：01 50",
		"unsupported: DL/T 645-1997 has no function that moves a relay":                    "unsupported：DL/T 645-1997 中没有拉合闸功能",
		"option unit=x: write the place of the unit code: behind the number, or before it": "选项 unit=x：请写单位代码的位置：behind（数值之后）或 before（数值之前）",
		"The meter took the command; what became of it could not be read back: no answer.": "电能表接受了命令；结果没有读回：没有应答。",
		"row 4, column type: the area coil holds bits: its type is bool":                   "第 4 行，type 列：寄存器区 coil 存放的是位：类型应为 bool",
		"the meter has 1 bytes":                             "the meter has 1 bytes",
		"the payload has many bytes; at most 5 are allowed": "the payload has many bytes; at most 5 are allowed",
		"one\n  bus is up\ntwo\n":                           "one\n  总线已接通\ntwo\n",
	} {
		if got := Translate(english); got != want {
			t.Errorf("%q\nis      %q\nwant    %q", english, got, want)
		}
		if got := Translate(Translate(english)); got != want {
			t.Errorf("%q: once more it is %q", english, got)
		}
	}
}

// sentence matches what is said to people in words.
var sentence = regexp.MustCompile(`[a-z]{2,}[,:;.]? [a-z%(]\S* \S`)

// notMessages are calls whose texts are no messages: help, names, tables, and programs' errors about themselves.
var notMessages = map[string]bool{
	"newFlags": true, "newUplinkFlags": true, "Bool": true, "String": true, "Uint": true, "Int": true, "Duration": true, "Var": true,
	"MustCompile": true, "Usagef": true, "NewReplacer": true, "panic": true, "FormatCloseMessage": true,
}

// help are declarations of what help prints, which is in English.
var help = map[string]bool{"commands": true, "runHelp": true, "exitStatuses": true, "busParameters": true}

// said lists the formats of the messages in the code that people meet first, each with where it stands.
func said(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "test", "frametest", "deploy", "homeassistant", "node_modules", "chinese", ".git", ".ci", ".tools", "dist":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field: // tags
				return false
			case *ast.FuncDecl:
				return !help[n.Name.Name]
			case *ast.ValueSpec:
				return !help[n.Names[0].Name]
			case *ast.CompositeLit:
				return !slices.ContainsFunc(n.Elts, isChinese) // what has both languages beside each other
			case *ast.CallExpr:
				switch f := n.Fun.(type) {
				case *ast.Ident:
					return !notMessages[f.Name]
				case *ast.SelectorExpr:
					return !notMessages[f.Sel.Name]
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					for line := range strings.Lines(text) {
						found[strings.TrimRight(line, " \n")] = files.Position(n.Pos()).String()
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// isChinese reports whether an expression is a text with Chinese characters.
func isChinese(x ast.Expr) bool {
	if pair, ok := x.(*ast.KeyValueExpr); ok {
		x = pair.Value
	}
	text, ok := x.(*ast.BasicLit)
	return ok && text.Kind == token.STRING && strings.ContainsFunc(text.Value, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// example is what a format may print.
func example(format string) string {
	return verb.ReplaceAllStringFunc(format, func(v string) string {
		switch v[len(v)-1] {
		case 'd':
			return "1"
		case 'q':
			return `"x"`
		case 'X':
			return "0A"
		case '%':
			return "%"
		}
		return "x"
	})
}

// staysEnglish are texts of the code that look like sentences and are the same in every language, each with the reason.
var staysEnglish = map[string]string{
	"text/plain; version=0.0.4; charset=utf-8": "a content type",
	"decode: % X":                  "a command and bytes",
	"%s every %v: %w":              "an item, a time and what is known of them",
	" (the access token)":          "what one cloud calls its secret",
	"Valid until, ms since 1970":   "a name in the thing model, where the Chinese one stands beside it",
	"Command without known result": "a name in the thing model, where the Chinese one stands beside it",
	"%s: %w":                       "a name and what is known of it",
	"registers in hex":             "the title of an item, where the Chinese one stands beside it",
	"set then get list":            "a service, as frames are explained",
	"action then get list":         "a service, as frames are explained",
	"right of %04X":                "what a meter is known for, and no message",
	"column %s of %04X":            "what a meter is known for, and no message",
	"list of %d":                   "what a meter is known for, and no message",
	"several at once":              "what a meter is known for, and no message",
	"one whatever is asked":        "what a meter is known for, and no message",
}

// tables matches errors in the tables of the binary, of which tests hear and nobody else.
var tables = regexp.MustCompile(`^\.\./protocol/(?:dlt645/(?:letter|family|template)|dlt698/(?:letter|dictionary|flags))\.go|: (?:picture %q: |record %s, field |: a field without a key|the table has no %s, which is part of )`)

// ofLibraries are messages that the libraries of Go make, so that no code of ours has them.
var ofLibraries = []string{
	"flag provided but not defined: -%s", "flag needs an argument: -%s", "invalid value %q for flag -%s: %v", "invalid boolean value %q for -%s: %v",
	"bad flag syntax: %s", "parse error", "value out of range",
}

// TestMessagesAreKnown looks for what is said in English only, and for translations of what nobody says any more. The page of the console has
// a language of its own.
func TestMessagesAreKnown(t *testing.T) {
	all := said(t)
	first := regexp.MustCompile(`^\.\./(?:[a-z0-9]+\.go|bridge/|uplink/|fleet/|secrets/|protocol/|simulator/)`)
	known := map[string]bool{}
	var stale []string
	for _, m := range parse(source) {
		if known[m.format] {
			t.Errorf("%q stands there twice", m.format)
		}
		known[m.format] = true
		if _, there := all[m.format]; !there && !composed(m, all) && !slices.Contains(ofLibraries, m.format) {
			stale = append(stale, m.format)
		}
	}
	var missing []string
	for text, where := range all {
		if staysEnglish[text] != "" || strings.HasPrefix(text, "mosquitto_") || isHelp(text) {
			continue // commands to copy are the same as well
		}
		if first.MatchString(where) && !tables.MatchString(where+": "+text) && sentence.MatchString(text) && (Translate(example(text)) == example(text) || sentence.MatchString(Translate(example(text)))) && !slices.ContainsFunc(parse(source), func(m message) bool {
			return strings.Contains(m.format, text)
		}) {
			missing = append(missing, where+": "+text)
		}
	}
	slices.Sort(missing)
	for _, m := range missing {
		t.Errorf("in English only: %s; put it into messages.txt", m)
	}
	for _, m := range stale {
		t.Errorf("nobody says %q any more; take it out of messages.txt", m)
	}
}

// isHelp reports whether a line is part of what help prints, whose translations another test looks for.
func isHelp(line string) bool {
	return slices.ContainsFunc(HelpTexts(), func(text string) bool { return strings.Contains(text, line) })
}

// composed reports whether a message is put together in the code: each of its parts between the verbs stands there.
func composed(m message, all map[string]string) bool {
	for _, literal := range m.literals {
		literal = strings.Trim(literal, " ;:")
		if !slices.ContainsFunc(strings.Split(literal, "; "), func(part string) bool {
			for text := range all {
				if strings.Contains(text, part) {
					return true
				}
			}
			return false
		}) {
			return false
		}
	}
	return true
}

// TestChineseIsWhole looks at each translation: every argument stands in it, once, and the punctuation is Chinese.
func TestChineseIsWhole(t *testing.T) {
	for _, m := range parse(source) {
		places := place.FindAllString(m.chinese, -1)
		slices.Sort(places)
		for _, p := range places {
			if int(p[1]-'0') > len(m.verbs) {
				t.Errorf("%q has no argument %s", m.format, p)
			}
		}
		if got := len(slices.Compact(places)); got != len(m.verbs) {
			t.Errorf("%q has %d arguments, %q takes %d", m.format, len(m.verbs), m.chinese, got)
		}
		runes := []rune(m.chinese)
		for i, r := range runes {
			if strings.ContainsRune(",;:?!()", r) && i > 0 && unicode.Is(unicode.Han, runes[i-1]) {
				t.Errorf("%q: %c behind a Chinese character", m.chinese, r)
			}
		}
		if !slices.ContainsFunc(runes, func(r rune) bool { return unicode.Is(unicode.Han, r) || r > 0x3000 }) && m.format != m.chinese {
			t.Errorf("%q is not Chinese: %q", m.format, m.chinese)
		}
	}
}

// TestNothingElseIsTouched leaves alone what is no sentence of ours.
func TestNothingElseIsTouched(t *testing.T) {
	for _, text := range []string{"main", "000000000001", "serial:///dev/ttyUSB0", `{"a": 1}`, "2026-11-20T18:00:00+08:00", "FE FE 68", "timeout", strings.Repeat("a: b; ", 50)} {
		if got := Translate(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// FuzzTranslate holds that any text comes back whole and soon.
func FuzzTranslate(f *testing.F) {
	f.Add("DLT645_X: open a: no such device: plug the adapter in, or pass the device to the container; x")
	f.Add(strings.Repeat(": ", 30))
	f.Fuzz(func(t *testing.T, text string) {
		if Translate(text) == "" && text != "" {
			t.Errorf("%q is gone", text)
		}
	})
}
