package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestChangelog holds the versions to the form that .ci/release looks for: Unreleased first, then the newest first, each with its day.
func TestChangelog(t *testing.T) {
	heads := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(readFile(t, "CHANGELOG.md"), -1)
	if len(heads) == 0 || heads[0][1] != "[Unreleased]" {
		t.Fatalf("the first section is %v", heads)
	}
	if len(heads) == 1 {
		t.Error("CHANGELOG.md has no version")
	}
	last := ""
	for _, head := range heads[1:] {
		match := regexp.MustCompile(`^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$`).FindStringSubmatch(head[1])
		if match == nil {
			t.Errorf("%q is not of the form [1.2.3] - 2026-11-29", head[1])
			continue
		}
		if last != "" && match[2] > last {
			t.Errorf("%s is newer than what stands before it", head[1])
		}
		last = match[2]
	}
}

// TestVersionOfSources asks which version sources are: outside a clone, in one without a tag, at a tag and behind it.
func TestVersionOfSources(t *testing.T) {
	git := findProgram(t, "git")
	findProgram(t, "bash")
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, ".ci"), 0o750); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, ".ci/version"), readFile(t, ".ci/version"))
	changelog := filepath.Join(folder, "CHANGELOG.md")
	writeFile(t, changelog, "# Changelog\n\n## [Unreleased]\n")
	do := func(name string, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, arguments...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(folder), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@localhost", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@localhost")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, arguments, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	check := func(when, want string) {
		t.Helper()
		got := do("bash", ".ci/version")
		if got = regexp.MustCompile(`g[0-9a-f]{7,}`).ReplaceAllString(got, "gHASH"); got != want {
			t.Errorf("%s it is %s, want %s", when, got, want)
		}
	}
	check("with nothing", "development")
	writeFile(t, changelog, "# Changelog\n\n## [Unreleased]\n\n## [0.9.0] - 2026-11-29\n\n## [0.8.0] - 2026-11-01\n")
	check("outside a clone", "v0.9.0")
	do(git, "init", "--quiet")
	do(git, "add", ".")
	do(git, "commit", "--quiet", "--message", "one")
	check("without a tag", "v0.9.0-gHASH")
	writeFile(t, filepath.Join(folder, "CHANGELOG.md"), readFile(t, changelog)+"more\n")
	check("changed", "v0.9.0-gHASH-dirty")
	do(git, "tag", "v0.9.0")
	do(git, "checkout", "--quiet", "CHANGELOG.md")
	check("at a tag", "v0.9.0")
	do(git, "commit", "--quiet", "--allow-empty", "--message", "two")
	check("behind a tag", "v0.9.0-1-gHASH")
}
