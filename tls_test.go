package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates for a test.
type authority struct {
	t           *testing.T
	directory   string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T, directory string) *authority {
	a := &authority{t: t, directory: directory}
	a.issue("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes name.pem and name.key and returns their paths.
func (a *authority) issue(name string, template *x509.Certificate) (certificate, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.certificate, a.key
	if template.IsCA {
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.IsCA {
		if a.certificate, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
		a.key = private
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, key = filepath.Join(a.directory, name+".pem"), filepath.Join(a.directory, name+".key")
	for file, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		writeFile(a.t, file, string(pem.EncodeToMemory(block)))
	}
	return certificate, key
}

// TestSecureBroker connects to a real mosquitto by TLS and by secure websockets, with a
// password and a client certificate.
func TestSecureBroker(t *testing.T) {
	t.Parallel()
	findProgram(t, "mosquitto")
	directory := t.TempDir()
	a := newAuthority(t, directory)
	certificate, key := a.issue("broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	clientCertificate, clientKey := a.issue("client", &x509.Certificate{Subject: pkix.Name{CommonName: "bridge"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	passwords, secret := passwordFile(t, map[string]string{"bridge": "s3cret"}), filepath.Join(directory, "secret")
	writeFile(t, secret, "s3cret\n")
	ca := filepath.Join(directory, "ca.pem")
	for scheme, lines := range map[string][]string{"mqtts": nil, "wss": {"protocol websockets"}} {
		t.Run(scheme, func(t *testing.T) {
			plain := freeAddress(t)
			secure := freeAddress(t)
			_, port, _ := net.SplitHostPort(secure)
			startMosquitto(t, plain, append([]string{
				"allow_anonymous false", "password_file " + passwords, "listener " + port + " 127.0.0.1",
				"cafile " + ca, "certfile " + certificate, "keyfile " + key, "require_certificate true",
			}, lines...)...)
			root, _ := startBridge(t, map[string]string{
				"DLT645_MQTT_URL": scheme + "://" + secure, "DLT645_MQTT_USERNAME": "bridge", "DLT645_MQTT_PASSWORD_FILE": secret,
				"DLT645_MQTT_CA_FILE": ca, "DLT645_MQTT_CERT_FILE": clientCertificate, "DLT645_MQTT_KEY_FILE": clientKey,
				"DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1",
			})
			c := newClientAs(t, dial(t, plain), "bridge", "s3cret", root+"/reply/#")
			c.ready(root)
			if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestBrokerRefuses tries brokers that are not to be trusted, and brokers that do not trust us.
// The bridge goes on trying and says why, without the password.
func TestBrokerRefuses(t *testing.T) {
	directory := t.TempDir()
	a := newAuthority(t, directory)
	certificate, key := a.issue("broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	passwords := passwordFile(t, map[string]string{"bridge": "s3cret"})
	other := t.TempDir()
	newAuthority(t, other)
	expired, expiredKey := a.issue("expired", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(-time.Minute),
	})
	stranger, strangerKey := newAuthority(t, t.TempDir()).issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	plain, secure, outdated, closed := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	lines := []string{"allow_anonymous false", "password_file " + passwords}
	ca := filepath.Join(directory, "ca.pem")
	for _, listener := range []struct {
		address, certificate, key string
		more                      []string
	}{{secure, certificate, key, nil}, {outdated, expired, expiredKey, nil}, {closed, certificate, key, []string{"require_certificate true"}}} {
		_, port, _ := net.SplitHostPort(listener.address)
		lines = append(lines, "listener "+port+" 127.0.0.1", "cafile "+ca, "certfile "+listener.certificate, "keyfile "+listener.key)
		lines = append(lines, listener.more...)
	}
	startMosquitto(t, plain, lines...)
	for _, address := range []string{secure, outdated, closed} {
		awaitListener(t, address, t.Context().Done(), new(strings.Builder))
	}
	for name, row := range map[string]struct {
		variables map[string]string
		want      string
	}{
		"wrong authority":                  {map[string]string{"DLT645_MQTT_URL": "mqtts://" + secure, "DLT645_MQTT_CA_FILE": filepath.Join(other, "ca.pem")}, "unknown authority"},
		"wrong password":                   {map[string]string{"DLT645_MQTT_URL": "mqtt://" + plain, "DLT645_MQTT_USERNAME": "bridge", "DLT645_MQTT_PASSWORD": "wr0ng"}, "DLT645_MQTT_PASSWORD"},
		"wrong host name":                  {map[string]string{"DLT645_MQTT_URL": "mqtts://" + strings.Replace(secure, "127.0.0.1", "localhost", 1), "DLT645_MQTT_CA_FILE": ca}, "as it stands in the broker's certificate"},
		"expired certificate":              {map[string]string{"DLT645_MQTT_URL": "mqtts://" + outdated, "DLT645_MQTT_CA_FILE": ca}, "certificate has expired"},
		"no authority":                     {map[string]string{"DLT645_MQTT_URL": "mqtts://" + secure}, "set DLT645_MQTT_CA_FILE"},
		"no client certificate":            {map[string]string{"DLT645_MQTT_URL": "mqtts://" + closed, "DLT645_MQTT_CA_FILE": ca}, "cannot reach the broker"}, // which words follow depends on who is faster
		"client certificate of a stranger": {map[string]string{"DLT645_MQTT_URL": "mqtts://" + closed, "DLT645_MQTT_CA_FILE": ca, "DLT645_MQTT_CERT_FILE": stranger, "DLT645_MQTT_KEY_FILE": strangerKey}, "cannot reach the broker"},
		"no TLS at all":                    {map[string]string{"DLT645_MQTT_URL": "mqtts://" + plain, "DLT645_MQTT_CA_FILE": ca}, "cannot reach the broker"},
	} {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{"DLT645_BUS_URL": quickMeters, "DLT645_TOPIC": "refused"}
			maps.Copy(variables, row.variables)
			log := newWatched(row.want)
			stop := runServe(t, variables, log)
			select {
			case <-log.seen:
			case <-time.After(patience):
				t.Errorf("the log does not say %q:\n%s", row.want, log)
			}
			stop()
			if strings.Contains(log.String(), "wr0ng") {
				t.Errorf("the log shows the password:\n%s", log)
			}
		})
	}
}
