// Package octet has what protocols of Chinese meters have in common at the level of bytes. It is pure.
//
//	frame.go  frames from 68H to 16H: their marks, their sum, and how they are cut out of a stream
//	bcd.go    decimal digits, two in a byte, and bytes as hex
package octet
