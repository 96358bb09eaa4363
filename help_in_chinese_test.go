package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/chinese"
)

// plainly returns a text as it is compared with what help prints: without the signs around names, in one line.
func plainly(text string) string { return collapse(strings.ReplaceAll(text, "`", "")) }

// TestHelpInChinese prints the help of every command in both languages: in Chinese there is no sentence in English, and
// of what is translated nothing is printed by nobody.
func TestHelpInChinese(t *testing.T) {
	pages := [][]string{{"help"}, {"help", "uplink", "model"}, {"help", "uplink", "check"}, {"help", "uplink", "sign"}}
	for _, c := range commands() {
		pages = append(pages, []string{"help", c.name})
	}
	english := ""
	for _, page := range pages {
		setAll(t, map[string]string{"DLT645_LANGUAGE": ""})
		_, out, stderr := execute(t, "", page...)
		english += out + stderr
		t.Setenv("DLT645_LANGUAGE", "zh")
		status, out, stderr := execute(t, "", page...)
		if status != 0 {
			t.Errorf("%v: status %d", page, status)
		}
		for line := range strings.Lines(out + stderr) {
			line = regexp.MustCompile(`dlt645-mqtt [a-z |]+`).ReplaceAllString(line, "")
			if words := regexp.MustCompile(`[a-z]{2,} [a-z]{2,} [a-z]+`).FindString(line); words != "" {
				t.Errorf("%v says in English %q: %s", page, words, line)
			}
		}
	}
	// Suggestions of the shell are not printed by help.
	completion := readFile(t, "completion.go")
	english = plainly(english)
	for _, text := range chinese.HelpTexts() {
		if !strings.Contains(english, plainly(text)) && !strings.Contains(completion, `"`+text+`"`) {
			t.Errorf("nobody prints %q any more", text)
		}
	}
}

// TestHelpSaysWhatThePagesSay compares what help says of variables in Chinese with README.zh-CN.md and docs/uplink.zh-CN.md.
func TestHelpSaysWhatThePagesSay(t *testing.T) {
	setAll(t, map[string]string{"DLT645_LANGUAGE": "zh"})
	_, help, _ := execute(t, "", "help")
	pages := ""
	for _, name := range []string{"README.zh-CN.md", "docs/uplink.zh-CN.md"} {
		pages += readFile(t, name)
	}
	pages = plainly(pages)
	explained := regexp.MustCompile(`(?m)^  (\S+?)(?:（默认 .*）)?\n        (.*)$`).FindAllStringSubmatch(help, -1)
	if len(explained) < 60 {
		t.Errorf("help explains %d variables and parameters", len(explained))
	}
	for _, match := range explained {
		if match[1] != "dlt645-mqtt" && !strings.Contains(pages, "| "+plainly(match[2])+" |") {
			t.Errorf("no page says of %s: %s", match[1], match[2])
		}
	}
}

// TestOptionsInChinese complains in Chinese of options that there are not, and leaves defaults alone.
func TestOptionsInChinese(t *testing.T) {
	setAll(t, map[string]string{"DLT645_LANGUAGE": "zh"})
	status, _, stderr := execute(t, "", "scan", "-nosuch")
	if status != 2 || !strings.HasPrefix(stderr, "没有选项 -nosuch\n用法：dlt645-mqtt scan [选项]\n") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if _, _, stderr = execute(t, "", "fleet", "-wait", "soon"); !strings.HasPrefix(stderr, `选项 -wait 的值 "soon" 无效：`) {
		t.Errorf("fleet -wait soon: %s", stderr)
	}
	if _, _, stderr = execute(t, "", "help", "fleet"); !strings.Contains(stderr, "  -at-once 数目\n") || !strings.Contains(stderr, "（默认 50）\n") {
		t.Errorf("help fleet: %s", stderr)
	}
}

// TestPunctuationOfHelp sees that signs behind Chinese characters are Chinese, where they end or part sentences.
func TestPunctuationOfHelp(t *testing.T) {
	files, err := filepath.Glob("chinese/*.txt")
	if err != nil || len(files) == 0 || !slices.Contains(files, "chinese/help.txt") {
		t.Fatalf("files %v, %v", files, err)
	}
	wrong := regexp.MustCompile(`\p{Han}[,;:?!()]`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			code := strings.NewReplacer("main=总表,", "", "主机:端口", "", ":端口?", "").Replace(line)
			if found := wrong.FindString(code); found != "" {
				t.Errorf("%s: %s in %s", file, found, line)
			}
		}
	}
}

// TestFleetAndUplinkInChinese says in Chinese what is wrong with what the fleet and the uplink are to do. Codes and commands stay.
func TestFleetAndUplinkInChinese(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		variables map[string]string
		status    int
		want      []string
	}{
		{[]string{"fleet", "list"}, map[string]string{"DLT645_MQTT_URL": ""}, 78, []string{"DLT645_MQTT_URL："}},
		{[]string{"fleet", "-roots", "a/#", "list"}, nil, 78, []string{`-roots：a/# 既不是根主题`, `-roots："a/#" 既不是根主题`}},
		{[]string{"fleet", "-at-once", "5000", "list"}, nil, 2, []string{"dlt645-mqtt: fleet: -wait 必须大于 0s，-at-once 必须是 1 至 1000"}},
		{[]string{"uplink"}, map[string]string{"DLT645_UPLINK_CLOUD": "nosuch"}, 78, []string{`DLT645_UPLINK_CLOUD：没有云平台 "nosuch"；可用的有 `}},
		{[]string{"uplink"}, map[string]string{"DLT645_UPLINK_CLOUD": "json", "DLT645_UPLINK_MIN_INTERVAL": "x"}, 78, []string{`DLT645_UPLINK_MIN_INTERVAL："x" 不是 0s 至 24h 的时长`}},
		{[]string{"uplink", "sign", "-cloud", "thingsboard"}, map[string]string{"DLT645_UPLINK_SECRET": "x", "DLT645_UPLINK_URL": "mqtts://cloud"}, 0, []string{"地址       mqtts://cloud:8883\n", "客户端标识 ", "密码       ", "MQTT       3.1.1，清除会话\n"}},
	} {
		variables := map[string]string{"DLT645_LANGUAGE": "zh", "DLT645_MQTT_URL": "mqtt://127.0.0.1"}
		maps.Copy(variables, test.variables)
		setAll(t, variables)
		status, out, stderr := execute(t, "", test.arguments...)
		found := slices.ContainsFunc(test.want, func(want string) bool { return strings.Contains(out+stderr, want) })
		if test.status == 0 {
			found = !slices.ContainsFunc(test.want, func(want string) bool { return !strings.Contains(out, want) })
		}
		if status != test.status || !found {
			t.Errorf("%v: status %d, want %d: %s%s", test.arguments, status, test.status, out, stderr)
		}
	}
}
