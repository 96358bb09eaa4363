package protocol

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
	// name. It tells whether there is one.
	Describe(name string) (Description, bool)
}

// A Description says what a data item is.
type Description struct {
	Name     string
	Unit     string // as in "kWh"; empty if there is none
	Form     Form
	Decimals int    // of a number: digits behind the point
	Digits   int    // of a number: digits in all; a register of 8 digits begins anew after 99999999
	Counter  bool   // a number that only rises, bit by bit, such as an energy, until it begins anew
	Alarm    bool   // a flag that tells of trouble while it is true
	English  string // a few words that say what it is
	Chinese  string
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
