package protocol

import (
	"slices"
	"time"
)

// A Catalogue is a [Protocol] that knows what the data items of its meters mean.
type Catalogue interface {
	Protocol

	// Match returns the names of the items, and of the values of items, that a pattern matches,
	// in the order of the table. In a pattern * stands for any number of characters other than
	// _ and the point, so that energy_t* is the tariffs and not their history; as all that
	// follows a point it may stand for _ too, so that status.* is all flags. Without * it
	// returns the name of the one item or value that is meant, also by an identifier (which is
	// its own name if it has no other); a block means its members. The error wraps ErrUnknownItem
	// or ErrUnsupported.
	Match(pattern string) ([]string, error)

	// Describe returns what is known of the item, or of the value of an item, that has this
	// name. It reports whether there is one.
	Describe(name string) (ItemDescription, bool)

	// Playing returns the name of the item, or of the value of an item, that has a role; empty if
	// the meters have none.
	Playing(role Role) string

	// Basic returns the names of the points of a named meter that has no point table. The first is
	// one that every meter answers.
	Basic() []string

	// Template returns the rows of a point table to begin with: items, or blocks of them, and how
	// often each is worth reading.
	Template() []TemplateRow
}

// A TemplateRow is a row of a point table to begin with.
type TemplateRow struct {
	Item     string
	Interval time.Duration
}

// Want adds what was asked to what is wanted of a register: the name to the names under which errors go, and the one
// value that it means to the values that are wanted. If it means all of them (value is empty), nil values say so from
// then on.
func Want(names, values []string, value, name string) (wantedNames, wantedValues []string) {
	if slices.Contains(names, name) {
		return names, values
	}
	switch {
	case value == "":
		values = nil
	case len(names) == 0 || values != nil:
		values = append(values, value)
	}
	return append(names, name), values
}

// A Role is what an item means to the bridge itself, whatever its name.
type Role uint8

// The roles.
const (
	RoleNone           Role = iota
	RoleRelay               // a flag that is true while the relay is open, and the meter supplies nothing
	RoleValve               // a text: "open", "closed" or what else a valve can be
	RoleClock               // the moment that the meter's clock shows
	RolePowerFailures       // a number that rises with each power failure
	RoleRatedVoltage        // volts of a phase, a number or a text such as "3*220V"
	RoleMaximumCurrent      // amperes of a phase, a number or a text such as "5(60)A"
	RoleManufacturer        // a text: who made the meter
	RoleModel               // a text
	RoleSoftware            // a text: the version of its program
	RoleHardware            // a text: the version of its hardware
	RoleTariffs             // a number: how many tariffs it counts in
)

// A Ratio says by what a value must be multiplied where the meter sits behind transformers.
type Ratio uint8

// The ratios.
const (
	RatioNone    Ratio = iota // by nothing
	RatioVoltage              // by that of the voltage transformers
	RatioCurrent              // by that of the current transformers
	RatioPower                // by both
)

// A Medium is what a volume is of. Empty: something that is not used up, or not known.
type Medium string

// The media.
const (
	MediumWater Medium = "water"
	MediumGas   Medium = "gas"
)

// An ItemDescription says what a data item is.
type ItemDescription struct {
	Name     string
	Unit     string // as in "kWh"; empty if there is none
	Form     Form
	Decimals int  // of a number: digits behind the point
	Digits   int  // of a number: digits in all; a register of 8 digits begins anew after 99999999
	Counter  bool // a number that only rises, bit by bit, such as an energy, until it begins anew
	Alarm    bool // a flag that means trouble while it is true
	Past     bool // kept from an earlier period, such as a settlement
	Role     Role
	Ratio    Ratio
	Medium   Medium // of a volume
	English  string // a few words that say what it is
	Chinese  string
}

// A Worded catalogue knows texts that are one of a few words.
type Worded interface {
	// Words returns all that the value of that name can be; nil: there is no telling.
	Words(name string) []Word
}

// A Word is a value that a text can have, and what people call it.
type Word struct {
	Value            string
	English, Chinese string
}

// A Titled protocol has a title for people, such as "DL/T 645-2007". Without one its name serves.
type Titled interface {
	Title() string
}

// A Form is what the data of an item look like.
type Form uint8

// The forms.
const (
	FormOther  Form = iota // a record, a list, a table
	FormNumber             // a Decimal
	FormFlag               // true or false
	FormMoment             // a moment, as in RFC 3339
	FormText               // any other string: words, addresses, bit fields in hex
)
