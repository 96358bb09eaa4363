// Package modbus speaks Modbus RTU to meters, by register maps that are tables and no code. It is
// pure: no clock, no goroutine, no input or output; whoever calls it brings the time and the bytes.
// [Meters] implements [protocol.Protocol], and [protocol.Catalogue] and [protocol.Finder] with it.
//
// A frame on the wire, master to slave and back, half duplex, 8E1 by the standard and mostly 8N1 in
// the field:
//
//	ADDRESS FUNCTION DATA CRC CRC
//
//	ADDRESS   of the slave, 1 to 247
//	FUNCTION  01 to 06, 0F, 10; with bit 7 set an exception, whose DATA is one byte, the reason
//	CRC       CRC-16 of all bytes before it, low byte first
//
// Numbers in DATA travel high byte first. There is neither a start nor an end mark; between frames the
// line is silent for 3.5 characters. Reading the voltage of phase A of a DTSU666, 230.2 V:
//
//	01 03 20 06 00 02 2F CA
//	01 03 04 45 0F E0 00 96 FC
//
// Files:
//
//	frame.go, address.go, errors.go   a frame and its parts; exceptions
//	awaited.go                   out of a stream: the one answer to a request
//	map.go, maps/*.csv           register maps: what they may say, those that come along
//	value.go, decode.go          one value out of its registers
//	describe.go                  a frame explained
//
//	meters.go                    which plan serves which verb; the items by name
//	read.go                      what is read, neighbours in one request
//	command.go, raw.go, find.go  writes and relays; a client's own frames; slaves that nobody knows
package modbus
