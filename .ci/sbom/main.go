// Command sbom writes the software bill of materials of binaries, as CycloneDX JSON: every Go module that is in one of them, by what
// the binaries say of themselves, the Go library, and the npm packages that the console's page is made of.
//
//	sbom VERSION PACKAGE-LOCK BINARY…
//
// The same binaries and SOURCE_DATE_EPOCH give the same bytes.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: sbom VERSION PACKAGE-LOCK BINARY…")
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}

func write(version, lock string, binaries []string) error {
	modules := map[string]*debug.Module{}
	golang := ""
	for _, binary := range binaries {
		info, err := buildinfo.ReadFile(binary)
		if err != nil {
			return err
		}
		golang = info.GoVersion
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			modules[m.Path+"@"+m.Version] = m
		}
	}
	components := []cdx.Component{library("pkg:golang/std@"+strings.TrimPrefix(golang, "go"), "std", golang, "BSD-3-Clause")}
	for _, m := range modules {
		licence, err := licenceOf(m)
		if err != nil {
			return err
		}
		c := library("pkg:golang/"+m.Path+"@"+m.Version, m.Path, m.Version, licence)
		if m.Sum != "" { // as in go.sum
			c.Properties = &[]cdx.Property{{Name: "go:sum", Value: m.Sum}}
		}
		components = append(components, c)
	}
	page, err := packages(lock)
	if err != nil {
		return err
	}
	components = append(components, page...)
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })

	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		epoch = 0
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: "pkg:generic/dlt645-mqtt@" + version, Type: cdx.ComponentTypeApplication, Name: "dlt645-mqtt", Version: version,
			PackageURL: "pkg:generic/dlt645-mqtt@" + version, Licenses: &cdx.Licenses{{License: &cdx.License{ID: "MIT"}}},
		},
	}
	bom.Components = &components
	return cdx.NewBOMEncoder(os.Stdout, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

func library(url, name, version, licence string) cdx.Component {
	return cdx.Component{
		BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: url,
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: licence}}},
	}
}

// licenceOf finds out the licence of a module by the text in its folder.
func licenceOf(m *debug.Module) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", m.Path+"@"+m.Version).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.Path, err)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(at.Dir, "[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if found := licensecheck.Scan(text); len(found.Match) > 0 && found.Percent > 50 {
			return found.Match[0].ID, nil
		}
	}
	return "", fmt.Errorf("the licence of %s %s in %v is none that is known", m.Path, m.Version, files)
}

// packages lists those of the page: what package-lock.json installs and does not call for development only.
func packages(lock string) (all []cdx.Component, err error) {
	text, err := os.ReadFile(lock)
	if err != nil {
		return nil, err
	}
	var read struct {
		Packages map[string]struct {
			Version, License string
			Dev, Optional    bool
		}
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, fmt.Errorf("%s: %w", lock, err)
	}
	for path, p := range read.Packages {
		i := strings.LastIndex(path, "node_modules/")
		if i < 0 || p.Dev || strings.Contains(path, "node_modules/@types/") {
			continue
		}
		name := path[i+len("node_modules/"):]
		c := library("pkg:npm/"+strings.Replace(name, "@", "%40", 1)+"@"+p.Version, name, p.Version, p.License)
		if strings.Contains(p.License, " ") { // of several
			c.Licenses = &cdx.Licenses{{Expression: p.License}}
		}
		if !slices.ContainsFunc(all, func(other cdx.Component) bool { return other.BOMRef == c.BOMRef }) {
			all = append(all, c)
		}
	}
	return all, nil
}
