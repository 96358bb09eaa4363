package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/protocol"
)

// readPasswords reads the meters' passwords: level to digits, by meter, and
// under the zero key those of all.
func (r *reader) readPasswords(c *config) {
	c.passwords = map[protocol.MeterKey]map[string]string{}
	general, err := parsePasswords(r.secret("METER_PASSWORD", r.MeterPassword, r.MeterPasswordFile))
	if err != nil {
		r.complain("METER_PASSWORD", "%w", err)
	}
	c.passwords[protocol.MeterKey{}] = general
	if r.MeterPasswordsFile == "" {
		return
	}
	text, err := os.ReadFile(r.MeterPasswordsFile)
	if err != nil {
		r.complain("METER_PASSWORDS_FILE", "%w", err)
		return
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, list, ok := strings.Cut(line, "=")
		if !ok {
			r.complain("METER_PASSWORDS_FILE", "line %d is not of the form meter=02123456,04000000", number)
			continue
		}
		meter, ok := c.meterOf(strings.TrimSpace(name))
		if !ok {
			r.complain("METER_PASSWORDS_FILE", "line %d: %q is neither a name of DLT645_METERS nor an address", number, strings.TrimSpace(name))
			continue
		}
		own, err := parsePasswords(list)
		switch {
		case err != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: %w", number, err)
		case c.passwords[meter] != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: the meter has a line already", number)
		default:
			c.passwords[meter] = own
		}
	}
}

// meterOf returns the meter that a name means, or an address.
func (c *config) meterOf(text string) (protocol.MeterKey, bool) {
	for _, means := range []func(bridge.Meter) bool{
		func(m bridge.Meter) bool { return m.Name == text },
		func(m bridge.Meter) bool {
			return m.Address.Text == text && !m.Address.Shared && m.Address.Family == c.protocol.Family()
		},
		func(m bridge.Meter) bool { return m.Address.Text == text && !m.Address.Shared },
	} {
		if i := slices.IndexFunc(c.meters, means); i >= 0 {
			return c.meters[i].Address.MeterKey, true
		}
	}
	address, err := c.protocol.ParseAddress(text)
	return address.MeterKey, err == nil && !address.Shared && strings.EqualFold(address.Text, text)
}

// hasPassword reports whether any meter has a password of a level; "" is any level.
func (c *config) hasPassword(level string) bool {
	for own := range maps.Values(c.passwords) {
		if level == "" && len(own) > 0 || own[level] != "" {
			return true
		}
	}
	return false
}

// parsePasswords reads a list such as 02123456,04000000. The error shows no password.
func parsePasswords(list string) (map[string]string, error) {
	passwords := map[string]string{}
	number := 0
	for password := range strings.SplitSeq(list, ",") {
		if password = strings.TrimSpace(password); password == "" {
			continue
		}
		number++
		if !allDigits(password, 8) {
			return nil, fmt.Errorf("password %d of the list has %d characters or one that is no digit; a password is 8 digits: 2 of the level and 6 of the password, as in 02123456", number, len(password))
		}
		level := password[:2]
		if passwords[level] != "" {
			return nil, fmt.Errorf("level %s is given twice", level)
		}
		passwords[level] = password[2:]
	}
	return passwords, nil
}
