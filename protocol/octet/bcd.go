package octet

// FromBCD returns the value of a byte of two BCD digits, or -1.
func FromBCD(b byte) int {
	if b>>4 > 9 || b&0x0F > 9 {
		return -1
	}
	return int(b>>4)*10 + int(b&0x0F)
}

// IsNotBCD reports whether a byte is anything but two BCD digits.
func IsNotBCD(b byte) bool { return FromBCD(b) < 0 }

// ToBCD returns the byte of two BCD digits; n is at most 99.
func ToBCD(n int) byte { return byte(n/10<<4 | n%10) }

// Hex returns bytes as upper-case digits in the order in which they travel.
func Hex(b []byte) string {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, 2*len(b))
	for _, c := range b {
		text = append(text, digits[c>>4], digits[c&0xF])
	}
	return string(text)
}

// MaskedHex is Hex with "**" for each byte that is hidden.
func MaskedHex(b []byte, hidden []bool) string {
	text := []byte(Hex(b))
	for i := range b {
		if hidden[i] {
			text[2*i], text[2*i+1] = '*', '*'
		}
	}
	return string(text)
}
