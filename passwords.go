package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// readPasswords reads the meters' passwords and operator codes: level to digits, by meter, and
// under the zero key those of all.
func (r *configReader) readPasswords(c *config) {
	c.passwords = map[protocol.MeterKey]map[string]string{}
	c.operators = map[protocol.MeterKey]string{}
	general, operator, err := parsePasswords(r.secret("METER_PASSWORD", r.MeterPassword, r.MeterPasswordFile))
	if err == nil && operator != "" {
		err = errors.New("an operator code for all meters stands in DLT645_OPERATOR_CODE")
	}
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
		own, operator, err := parsePasswords(list)
		switch {
		case err != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: %w", number, err)
		case c.passwords[meter] != nil:
			r.complain("METER_PASSWORDS_FILE", "line %d: the meter has a line already", number)
		default:
			c.passwords[meter] = own
			if operator != "" {
				c.operators[meter] = operator
			}
		}
	}
}

// meterOf returns the meter that a name means, or an address, which may be short and have a protocol behind it.
func (c *config) meterOf(text string) (protocol.MeterKey, bool) {
	own, spoken, _ := strings.Cut(text, "@")
	has := func(m meters.Meter, address string) bool {
		return m.Address.Text == address && !m.Address.Shared && (spoken == "" || m.Protocol.Name() == spoken)
	}
	for _, means := range []func(meters.Meter) bool{
		func(m meters.Meter) bool { return m.Name == text },
		func(m meters.Meter) bool { return has(m, own) && m.Address.Family == c.protocol.Family() },
		func(m meters.Meter) bool { return has(m, own) },
		func(m meters.Meter) bool {
			address, err := m.Protocol.ParseAddress(own)
			return err == nil && has(m, address.Text)
		},
	} {
		if i := slices.IndexFunc(c.meters, means); i >= 0 {
			return c.meters[i].Address.MeterKey, true
		}
	}
	m, err := c.meter("", text)
	return m.Address.MeterKey, err == nil && !m.Address.Shared
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

// asHex in a list of passwords lets the digits of all that stands in it be A to F as well.
const asHex = "hex"

// parsePasswords reads a list such as 02123456,04000000 or hex,02A1B2C3,operator=0000C0DE. The operator code is empty
// if it has none. The error shows neither.
func parsePasswords(list string) (passwords map[string]string, operator string, err error) {
	passwords = map[string]string{}
	var entries []string
	digits, named := "0123456789", "digits"
	for entry := range strings.SplitSeq(list, ",") {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
		case asHex:
			digits, named = "0123456789ABCDEF", "hex digits"
		default:
			entries = append(entries, strings.ToUpper(entry))
		}
	}
	wrong := func(text string) bool { return len(text) != 8 || strings.Trim(text, digits) != "" }
	for i, entry := range entries {
		code, isOperator := strings.CutPrefix(entry, "OPERATOR=")
		switch {
		case isOperator && operator != "":
			return nil, "", errors.New("the operator code is given twice")
		case isOperator && wrong(code):
			return nil, "", fmt.Errorf("the operator code is not 8 %s", named)
		case isOperator:
			operator = code
			continue
		case wrong(entry):
			return nil, "", fmt.Errorf("password %d of the list has %d characters or one that is no digit; a password is 8 %s: 2 of the level and 6 of the password, as in 02123456", i+1, len(entry), named)
		case strings.Trim(entry[:2], "0123456789") != "":
			return nil, "", fmt.Errorf("the level of password %d is not two digits", i+1)
		}
		level := entry[:2]
		if passwords[level] != "" {
			return nil, "", fmt.Errorf("level %s is given twice", level)
		}
		passwords[level] = entry[2:]
	}
	return passwords, operator, nil
}
