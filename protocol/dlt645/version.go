package dlt645

import "fmt"

// A Version is an edition of the standard. The editions share the frame and differ in
// function codes, identifiers and follow-up frames. The zero value means that the edition
// is not known and is to be found from the frame: see [Function.Version].
type Version uint8

// The editions.
const (
	V2007 Version = iota + 1 // DL/T 645-2007 with its amendments
	V1997                    // DL/T 645-1997
)

// ParseVersion reads "2007" or "1997".
func ParseVersion(text string) (Version, error) {
	switch text {
	case "2007":
		return V2007, nil
	case "1997":
		return V1997, nil
	}
	return 0, fmt.Errorf("there is no DL/T 645 of %q: write 2007 or 1997", text)
}

// String returns the year of the edition, "unknown" for the zero value.
func (v Version) String() string {
	switch v {
	case V2007:
		return "2007"
	case V1997:
		return "1997"
	}
	return "unknown"
}
