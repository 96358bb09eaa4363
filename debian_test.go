package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestDebianPackage makes the package, installs it with dpkg into a folder, runs what it has installed, upgrades, removes
// and purges it. A changed configuration stays until it is purged.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("dpkg gives files their owners, which takes root")
	}
	dpkg, dpkgDeb := findProgram(t, "dpkg"), findProgram(t, "dpkg-deb")
	architecture := runtime.GOARCH
	if architecture != "amd64" && architecture != "arm64" {
		t.Skipf("there is no package for %s", architecture)
	}
	work := t.TempDir()
	do := func(name string, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, arguments...)
		command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "CGO_ENABLED=0", "DPKG_FORCE=")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, arguments, err, output)
		}
		return string(output)
	}
	binary, notices := buildBinary(t), filepath.Join(work, "notices")
	writeFile(t, notices, "notices\n")
	for _, version := range []string{"v1.2.3", "v1.2.3-4-gabcdef0"} {
		do(".ci/debian", version, architecture, binary, notices, work)
	}
	first, second := filepath.Join(work, "dlt645-mqtt_1.2.3_"+architecture+".deb"), filepath.Join(work, "dlt645-mqtt_1.2.3+4.gabcdef0_"+architecture+".deb")
	if got := do(dpkgDeb, "--field", first, "Version", "Package"); got != "Version: 1.2.3\nPackage: dlt645-mqtt\n" {
		t.Errorf("the package is %s", got)
	}
	do(dpkg, "--compare-versions", "1.2.3", "lt", "1.2.3+4.gabcdef0")

	root := filepath.Join(work, "root")
	for _, folder := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(root, "var/lib/dpkg/status"), "")
	manage := func(arguments ...string) string {
		t.Helper()
		return do(dpkg, append([]string{"--root=" + root, "--log=/dev/null", "--force-script-chrootless", "--force-confold", "--no-triggers"}, arguments...)...)
	}
	at := func(path string) string { return filepath.Join(root, path) }
	manage("--install", first)
	if got := do(at("usr/bin/dlt645-mqtt"), "version"); !strings.HasPrefix(got, "dlt645-mqtt ") {
		t.Errorf("it prints %s", got)
	}
	for path, mode := range map[string]os.FileMode{
		"etc/dlt645-mqtt/dlt645-mqtt.env": 0o644, "etc/dlt645-mqtt/mqtt-password": 0o600, "etc/dlt645-mqtt/meter-password": 0o600, "usr/bin/dlt645-mqtt": 0o755,
		"usr/lib/systemd/system/dlt645-mqtt.service": 0o644, "usr/lib/systemd/system/dlt645-uplink.service": 0o644, "usr/share/doc/dlt645-mqtt/copyright": 0o644,
		"usr/share/doc/dlt645-mqtt/deploy/fleet/make-accounts": 0o755,
	} {
		if info, err := os.Stat(at(path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, want %v: %v", path, info, mode, err)
		}
	}
	unit := readFile(t, at("usr/lib/systemd/system/dlt645-mqtt.service"))
	if !strings.HasPrefix(unit, "[Unit]\n") || !strings.Contains(unit, "\nExecStart=/usr/bin/dlt645-mqtt\n") || strings.Contains(unit, "/usr/local") {
		t.Errorf("the unit is\n%s", unit)
	}
	for _, match := range regexp.MustCompile(`(?m)=(?:[a-z-]+:)?(/etc/dlt645-mqtt/\S+)$`).FindAllStringSubmatch(unit, -1) {
		if _, err := os.Stat(at(match[1])); err != nil {
			t.Errorf("the unit reads %s: %v", match[1], err)
		}
	}
	// Where systemd cannot start the service, or stop it, the package is installed and removed all the same.
	systemd, programs := filepath.Join(work, "systemd"), filepath.Join(work, "programs")
	for _, folder := range []string{systemd, programs} {
		if err := os.Mkdir(folder, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(programs, "systemctl"), "#!/bin/sh\necho \"$@\"\nexit 1\n")
	if err := os.Chmod(filepath.Join(programs, "systemctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	for script, asked := range map[string]string{"postinst configure 1.0.0": "try-restart", "prerm remove": "disable --now", "postrm remove": "daemon-reload"} {
		words := strings.Fields(script)
		text := strings.ReplaceAll(readFile(t, at("var/lib/dpkg/info/dlt645-mqtt."+words[0])), "/run/systemd/system", systemd)
		command := exec.CommandContext(t.Context(), "sh", append([]string{"-c", text, words[0]}, words[1:]...)...)
		command.Env = []string{"PATH=" + programs + ":/usr/bin:/bin"}
		if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), asked) {
			t.Errorf("%s: %v: %s", script, err, output)
		}
	}
	writeFile(t, at("etc/dlt645-mqtt/dlt645-mqtt.env"), "DLT645_METERS=mine=1\n")
	manage("--install", second)
	manage("--remove", "dlt645-mqtt")
	if _, err := os.Stat(at("usr/bin/dlt645-mqtt")); !os.IsNotExist(err) {
		t.Errorf("the program is still there after the removal: %v", err)
	}
	if got := readFile(t, at("etc/dlt645-mqtt/dlt645-mqtt.env")); got != "DLT645_METERS=mine=1\n" {
		t.Errorf("upgrade and removal have made of the configuration %q", got)
	}
	manage("--purge", "dlt645-mqtt")
	if left, _ := filepath.Glob(at("etc/dlt645-mqtt*")); len(left) > 0 {
		t.Errorf("purged, it leaves %v", left)
	}
}
