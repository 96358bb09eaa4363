package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// makeAccounts runs make-accounts for these sites.
func makeAccounts(t *testing.T, folder, broker string, sites ...string) {
	t.Helper()
	findProgram(t, "mosquitto_passwd")
	command := exec.CommandContext(t.Context(), "deploy/fleet/make-accounts", folder)
	command.Env = append(os.Environ(), "BROKER="+broker)
	command.Stdin = strings.NewReader(strings.Join(sites, "\n"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make-accounts: %v: %s", err, out)
	}
}

// startSite runs a bridge of a binary with the variables that make-accounts has written for a site.
func startSite(t *testing.T, binary, folder, site string, variables ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary)
	command.Env = append(environmentWith(nil), strings.Fields(readFile(t, filepath.Join(folder, "sites", site+".env")))...)
	command.Env = append(command.Env, isProgram+"=yes", "DLT645_BUS_URL="+quickMeters, "DLT645_METERS=main=1", "DLT645_LOG_LEVEL=error", "DLT645_ALLOW=read,config")
	command.Env = append(command.Env, variables...)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
}

// mayPublish reports whether the broker lets a client publish to a topic.
func mayPublish(t *testing.T, c *client, topic string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("voltage_a")})
	if response == nil {
		t.Fatal(err)
	}
	return response.ReasonCode < 0x80
}

// TestSiteAccounts runs the bridges of two of a thousand sites at a real mosquitto with the accounts that the project
// makes for them, by passwords and by client certificates, and tries what each account may see and do.
func TestSiteAccounts(t *testing.T) {
	t.Parallel()
	findProgram(t, "mosquitto")
	folder, address, secure := t.TempDir(), freeAddress(t), freeAddress(t)
	sites := make([]string, 1000)
	for i := range sites {
		sites[i] = fmt.Sprintf("site-%04d", i)
	}
	one, two, third := sites[1], sites[777], sites[999]
	makeAccounts(t, folder, "mqtt://"+address, sites...)
	secret := func(account string) string { return readFile(t, filepath.Join(folder, "secrets", account)) }
	before := secret(one)
	makeAccounts(t, folder, "mqtt://"+address, "site-one-more")
	if secret(one) != before || secret("site-one-more") == before {
		t.Error("another site has changed the password of the first")
	}

	a := newAuthority(t, t.TempDir())
	certificate, key := a.issue("broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	_, port, _ := net.SplitHostPort(secure)
	startMosquitto(t, address, "allow_anonymous false", "password_file "+folder+"/passwords", "acl_file "+folder+"/acl",
		"listener "+port+" 127.0.0.1", "cafile "+filepath.Join(a.directory, "ca.pem"), "certfile "+certificate, "keyfile "+key,
		"require_certificate true", "use_identity_as_username true")

	as := func(account string, filters ...string) *client {
		return newClientAs(t, dial(t, address), account, secret(account), filters...)
	}
	all := as("fleet", "+/bridge/status")
	binary := testProgram(t)
	startSite(t, binary, folder, one)
	// The second has its password in a file, as a service has.
	startSite(t, binary, folder, two, "DLT645_MQTT_PASSWORD=", "DLT645_MQTT_PASSWORD_FILE="+filepath.Join(folder, "secrets", two))
	// The third is known by its certificate: it has no password.
	clientCertificate, clientKey := a.issue("client", &x509.Certificate{Subject: pkix.Name{CommonName: third}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	startSite(t, binary, folder, third, "DLT645_MQTT_URL=mqtts://"+secure, "DLT645_MQTT_USERNAME=", "DLT645_MQTT_PASSWORD=",
		"DLT645_MQTT_CA_FILE="+filepath.Join(a.directory, "ca.pem"), "DLT645_MQTT_CERT_FILE="+clientCertificate, "DLT645_MQTT_KEY_FILE="+clientKey)
	for online := map[string]bool{}; len(online) < 3; {
		if p := all.next(); string(p.Payload) == "online" {
			online[p.Topic] = true
		}
	}

	// The bridge's account, and that of its Home Assistant, hear and reach what is theirs alone.
	others := as("database", "+/meter/+/readings")
	for account, root := range map[string]string{one: one, one + "-home": one, two: two} {
		c := as(account, "#")
		for heard := map[string]bool{}; len(heard) < 3; { // its retained messages, and what Home Assistant is told
			p := c.next()
			if !strings.HasPrefix(p.Topic, root+"/") && !strings.HasPrefix(p.Topic, "homeassistant/"+root+"/") {
				t.Errorf("%s hears %s", account, p.Topic)
			}
			if account == root && p.Topic == root+"/request/read/main" {
				break
			}
			if account == root { // the bridge hears requests and what it keeps, so it is asked
				mayPublish(t, as(one+"-home"), one+"/request/read/main")
				mayPublish(t, as(two+"-home"), two+"/request/read/main")
			}
			heard[p.Topic] = true
		}
		for topic, want := range map[string]bool{
			root + "/request/read/main":       account != root,
			root + "/reply/read/main":         account == root,
			third + "/request/read/main":      false,
			third + "/meter/main/state":       false,
			third + "/bridge/config":          false,
			third + "/reply/read/main":        false,
			"homeassistant/status":            false,
			"homeassistant/device/x/config":   false,
			root + "/request/maintenance/all": false,
		} {
			if got := mayPublish(t, c, topic); got != want {
				t.Errorf("%s may publish to %s: %t, want %t", account, topic, got, want)
			}
		}
	}
	home := as(one+"-home", "homeassistant/"+one+"/device/+/config")
	if p := home.next(); !strings.HasPrefix(p.Topic, "homeassistant/"+one+"/device/") {
		t.Errorf("Home Assistant is told on %s", p.Topic)
	}

	// The accounts of all sites: one stores, the other looks and asks.
	for stored := map[string]bool{}; len(stored) < 3; {
		p := others.next()
		if !bytes.Contains(p.Payload, []byte(`"time"`)) {
			t.Errorf("%s: %s", p.Topic, p.Payload)
		}
		stored[p.Topic] = true
	}
	if mayPublish(t, others, one+"/request/read/main") {
		t.Error("database may ask")
	}
	if mayPublish(t, all, one+"/request/relay/main") || !mayPublish(t, all, one+"/request/config") {
		t.Error("fleet may switch, or not give tables")
	}
	account := map[string]string{"DLT645_MQTT_URL": "mqtt://" + address, "DLT645_MQTT_USERNAME": "fleet", "DLT645_MQTT_PASSWORD": secret("fleet")}
	status, out, stderr := executeApart(t, account, "", "fleet", "-roots", "+", "ask", "main", "frequency")
	if status != 0 || strings.Count(out, "frequency") != 3 {
		t.Errorf("fleet ask: status %d: %s%s", status, out, stderr)
	}
}

// TestMakeAccountsRefuses gives names that would be somebody else's.
func TestMakeAccountsRefuses(t *testing.T) {
	for _, name := range []string{"+", "#", "a/b", "A", "fleet", "database", "homeassistant", "x-home", "-x", "$SYS", "a b"} {
		command := exec.CommandContext(t.Context(), "deploy/fleet/make-accounts", t.TempDir())
		command.Stdin = strings.NewReader("site\n" + name + "\n")
		if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "cannot be the name of a site") {
			t.Errorf("%q: %v: %s", name, err, out)
		}
	}
}
