package dlt698

// A cursor takes an APDU apart. After the first thing that is missing it gives zeros, and err
// says what was missing.
type cursor struct {
	b     []byte  // what is left
	depth int     // of data in data
	spare []Entry // for the entries of an APDU, if they fit
	err   error
}

// mostDepth bounds how deep data may lie in data; three levels are in use.
const mostDepth = 16

// fail notes what is wrong, unless something was before.
func (r *cursor) fail(format string, args ...any) {
	if r.err == nil {
		r.err = garbled(format, args...)
	}
	r.b = nil
}

// cut returns the next n bytes, of what.
func (r *cursor) cut(n int, what string) []byte {
	if n > len(r.b) {
		r.fail("%s takes %d bytes, %d are left", what, n, len(r.b))
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

// number reads an unsigned number of n bytes, highest first.
func (r *cursor) number(n int, what string) (value uint64) {
	for _, c := range r.cut(n, what) {
		value = value<<8 | uint64(c)
	}
	return value
}

func (r *cursor) byte(what string) byte { return byte(r.number(1, what)) }

func (r *cursor) oad(what string) OAD { return OAD(r.number(4, what)) }

// length reads how many bytes or elements follow: one byte below 80H, else 81H and one, 82H and
// two.
func (r *cursor) length(what string) int {
	n := int(r.byte(what))
	switch {
	case n < 0x80:
		return n
	case n == 0x81 || n == 0x82:
		return int(r.number(n-0x80, what))
	}
	r.fail("the length of %s begins with %02XH: below 80H, 81H and 82H are known", what, n)
	return 0
}

// count reads how many elements follow, each of which takes least bytes or more, so that nothing
// is made ready for what cannot come.
func (r *cursor) count(least int, what string) int {
	n := r.length(what)
	if n*least > len(r.b) {
		r.fail("%d %s take at least %d bytes, %d are left", n, what, n*least, len(r.b))
		return 0
	}
	return n
}

// octets reads a length and so many bytes.
func (r *cursor) octets(what string) []byte { return r.cut(r.length(what), what) }

// appendLength appends a count or a length.
func appendLength(b []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n < 0x100:
		return append(b, 0x81, byte(n))
	}
	return append(b, 0x82, byte(n>>8), byte(n))
}

func appendOctets(b, octets []byte) []byte { return append(appendLength(b, len(octets)), octets...) }
