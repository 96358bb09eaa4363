package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"dlt645-mqtt/bridge/mqtt"
)

// brokerPorts are the ports of brokers that are not named in the URL.
var brokerPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443", "embedded": "1883"}

// readBroker reads where the broker is, and what opens it.
func (r *configReader) readBroker(c *config) {
	password := r.secret("MQTT_PASSWORD", r.MQTT.Password, r.MQTT.PasswordFile)
	c.broker = mqtt.Broker{Username: r.MQTT.Username, Password: password, ClientID: r.MQTT.ClientID}
	if password != "" && r.MQTT.Username == "" {
		r.complain("MQTT_PASSWORD", "is set without DLT645_MQTT_USERNAME")
	}
	if c.broker.ClientID == "" {
		c.broker.ClientID = "dlt645-mqtt-" + c.root
	}
	if r.MQTT.URL == "" {
		if _, set := os.LookupEnv("DLT645_MQTT_URL"); !set {
			r.complain("MQTT_URL", "is missing: say where the broker is, such as mqtt://192.168.1.10 (or try: dlt645-mqtt demo)")
		}
		return
	}
	parts := strings.Split(r.MQTT.URL, ",")
	secure := false
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if scheme, _, found := strings.Cut(parts[0], "://"); i > 0 && found && !strings.Contains(part, "://") {
			part = strings.TrimSpace(scheme) + "://" + part // of the same kind as the first
		}
		u := r.brokerURL(part, len(parts) > 1)
		if u == nil {
			continue
		}
		secure = secure || u.Scheme == "mqtts" || u.Scheme == "wss"
		if u.Scheme == "embedded" {
			c.embedded = u.Host
			u = &url.URL{Scheme: "mqtt", Host: u.Host}
		}
		c.broker.URLs = append(c.broker.URLs, u)
	}
	switch {
	case secure:
		c.broker.TLS = r.tls()
		if len(c.broker.URLs) == 1 { // else each is known by the name in its own address
			c.broker.TLS.ServerName = c.broker.URLs[0].Hostname()
		}
	case len(c.broker.URLs) > 0 && (r.MQTT.CAFile != "" || r.MQTT.CertFile != "" || r.MQTT.KeyFile != ""):
		r.complain("MQTT_URL", "%s:// is not encrypted, so DLT645_MQTT_CA_FILE, _CERT_FILE and _KEY_FILE have no use: write mqtts:// or wss://", c.broker.URLs[0].Scheme)
	}
}

// brokerURL reads the address of one broker; nil if it cannot be understood. several says that it is
// one of a list.
func (r *configReader) brokerURL(text string, several bool) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		// The error may show a password that somebody wrote into the URL.
		r.complain("MQTT_URL", "cannot be read: write it as in mqtt://192.168.1.10:1883, with user name and password in DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD")
		return nil
	}
	port, known := brokerPorts[u.Scheme]
	switch {
	case !known:
		r.complain("MQTT_URL", "the scheme must be mqtt, mqtts, ws, wss or embedded, as in mqtt://192.168.1.10, not %q", u.Scheme)
		return nil
	case u.Hostname() == "":
		r.complain("MQTT_URL", "names no host: write %s://host:%s", u.Scheme, port)
		return nil
	case strings.ContainsAny(u.Hostname(), ";: ") && !strings.HasPrefix(u.Host, "["):
		r.complain("MQTT_URL", "cannot be read: no host name has a semicolon, a colon or a space; several brokers stand there with commas between them")
		return nil
	case u.User != nil:
		r.complain("MQTT_URL", "put user name and password into DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD, not into the URL")
	case !strings.HasPrefix(u.Scheme, "ws") && u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		r.complain("MQTT_URL", "has something behind the host, where nothing belongs")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		r.complain("MQTT_URL", "%q is no port from 1 to 65535", u.Port())
	}
	u.User = nil
	if u.Scheme == "embedded" {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			r.complain("MQTT_URL", "the embedded broker has no passwords, so it serves only this machine: write embedded://127.0.0.1")
		}
		if several {
			r.complain("MQTT_URL", "the embedded broker stands alone, not in a list")
		}
	}
	return u
}

// tls returns how to know a broker, by the name in its address, and be known by it.
func (r *configReader) tls() *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := r.MQTT.CAFile; file != "" {
		pem, err := os.ReadFile(file)
		t.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			r.complain("MQTT_CA_FILE", "%w", err)
		case !t.RootCAs.AppendCertsFromPEM(pem):
			r.complain("MQTT_CA_FILE", "%s has no certificate in PEM form", file)
		}
	}
	switch cert, key := r.MQTT.CertFile, r.MQTT.KeyFile; {
	case cert == "" && key == "":
	case cert == "" || key == "":
		r.complain("MQTT_CERT_FILE", "and DLT645_MQTT_KEY_FILE belong together; one of them is missing")
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			r.complain("MQTT_CERT_FILE", "%w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t
}
