package dlt698

// polynomial is 1021H with its bits reversed: the checksums go over the bits of each byte from
// the lowest up.
const polynomial = 0x8408

var checksumTable = func() (table [256]uint16) {
	for i := range table {
		sum := uint16(i)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= polynomial
			}
		}
		table[i] = sum
	}
	return table
}()

// checksum is the check sequence of both header and frame: CRC-16/X-25, which begins with
// FFFFH and is inverted at the end. The low byte is sent first. Annex D of DL/T 698.45.
func checksum(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, c := range b {
		sum = sum>>8 ^ checksumTable[byte(sum)^c]
	}
	return ^sum
}

// isChecked reports whether the last two bytes of b are the checksum of those before them.
func isChecked(b []byte) bool {
	n := len(b) - 2
	sum := checksum(b[:n])
	return b[n] == byte(sum) && b[n+1] == byte(sum>>8)
}
