package protocol

// A Finder is a [Protocol] that can look for meters whose addresses nobody knows: its meters
// answer to patterns that several addresses match.
type Finder interface {
	Protocol

	// Find returns the question whether a meter is there that matches the pattern: the text of an
	// address as ParseAddress returns it, or "" for every meter. The error wraps ErrBadRequest.
	Find(pattern string) (Question, error)

	// UsualModes returns the speeds and parities at which meters of the protocol are met, the
	// most common first. A scan of a serial line tries each with each.
	UsualModes() (speeds []int, parities []string)
}

// A Question asks all meters that match a pattern for a sign of life. One meter answers with
// its address. Of several that answer at once either nothing can be understood, or only the
// one with the strongest driver, so that the others are found by narrower questions alone.
type Question struct {
	Pattern string // as ParseAddress spells it

	// Steps ask the question, each in another way, since not every meter knows every way.
	// They are of ClassScan and not shared. The Address of a result is the meter's; a refusal
	// is no error here, for it is a sign of life as well. None: the protocol has no way to ask so
	// many at once, and the question is narrowed unasked.
	Steps []Step

	// Levels is how often the question can be narrowed until it is about one address.
	Levels int

	// Rank orders questions that nobody can be asked: those that they are narrowed to are asked by rising rank,
	// over all modes of the line.
	Rank int

	// Alike says what to do where several meters answer to this question at once though it cannot be narrowed:
	// a sentence. Empty: they have the same address.
	Alike string

	// Matches reports whether a meter with this address text is asked.
	Matches func(address string) bool

	// Narrow returns questions about parts of the pattern: no two have an address in common,
	// and together they ask every meter that this question asks, but for those of Odd. None at level 0.
	Narrow func() []Question

	// Odd returns questions about the rest: addresses that no meter should have, and some have all the
	// same. They are asked where fewer meters are found than there must be. Nil: there is no rest.
	Odd func() []Question
}
