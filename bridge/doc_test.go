package bridge

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPackageCommentsListTheFiles compares the files of packages with those that their comments
// explain.
func TestPackageCommentsListTheFiles(t *testing.T) {
	for _, folder := range []string{".", "bus", "homeassistant", "meters", "mqtt", "points", "../protocol", "../protocol/octet", "../uplink"} {
		compareFiles(t, folder)
	}
}

func compareFiles(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, match := range regexp.MustCompile(`(?m)^//\t(\w+\.go) `).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, match[1])
	}
	slices.Sort(listed)
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	files = slices.DeleteFunc(files, func(name string) bool { return name == "doc.go" || strings.HasSuffix(name, "_test.go") })
	if !slices.Equal(listed, files) {
		t.Errorf("%s: listed are %v\nthere are %v", folder, listed, files)
	}
}
