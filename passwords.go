package main

import (
	"fmt"
	"maps"
	"os"
	"strings"
)

// readPasswords reads the meters' passwords: level to digits, by the address of the meter, and
// under "" those of all meters.
func (r *reader) readPasswords(c *config) {
	c.passwords = map[string]map[string]string{}
	general, err := parsePasswords(r.secret("METER_PASSWORD", r.MeterPassword, r.MeterPasswordFile))
	if err != nil {
		r.complain("METER_PASSWORD", "%w", err)
	}
	c.passwords[""] = general
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
		address, ok := c.addressOf(strings.TrimSpace(name))
		if !ok {
			r.complain("METER_PASSWORDS_FILE", "line %d: %q is neither a name of DLT645_METERS nor an address", number, strings.TrimSpace(name))
			continue
		}
		own, err := parsePasswords(list)
		switch {
		case err != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: %w", number, err)
		case c.passwords[address] != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: the meter has a line already", number)
		default:
			c.passwords[address] = own
		}
	}
}

// addressOf returns the address of a meter by its name, or by the address itself.
func (c *config) addressOf(meter string) (string, bool) {
	for _, m := range c.meters {
		if m.Name == meter || m.Address == meter && !m.Wildcard {
			return m.Address, true
		}
	}
	address, wildcard, err := c.protocol.ParseAddress(meter)
	return address, err == nil && !wildcard && len(meter) == len(address)
}

// hasPassword tells whether any meter has a password of a level; "" is any level.
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
