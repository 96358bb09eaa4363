// Package cjt188 speaks CJ/T 188-2004 and CJ/T 188-2018, the protocol of water, heat and gas meters
// in China. It is pure: no clock, no goroutine, no input or output; whoever calls it brings the time
// and the bytes. [Meters] implements [protocol.Protocol], and [protocol.Catalogue], [protocol.Finder],
// [protocol.Recogniser] and [protocol.Configurer] with it; two plans for the same request differ in
// the number SER alone and, for a meter that nobody has heard yet, in the way it is asked.
//
// A frame on the wire, master to meter and back, half duplex, 2400 8E1 unless the meter is set
// otherwise:
//
//	68 T A0 A1 A2 A3 A4 A5 A6 C L DI DI SER … CS 16
//
//	T      type of the meter: 10 to 19 water, 20 to 29 heat, 30 to 39 gas, AA any
//	A0…A6  address, fourteen BCD digits, lowest pair first
//	C      control code: D7 answer, D6 refusal, D5…D0 function
//	L      number of bytes from DI to before CS
//	DI     identifier; 2004: as written (90 1F), 2018: low byte first (1F 90)
//	SER    number of the request, which the answer repeats
//	CS     sum of all bytes before it from 68, modulo 256
//
// Unlike DL/T 645 nothing is added to the bytes of the data. Wake-up bytes FE may come before a frame
// and are no part of it. Reading the current data of the water meter 00000805000001, and 123.00 m³ in
// answer:
//
//	68 10 01 00 00 05 08 00 00 01 03 1F 90 00 39 16
//	68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 48 16
//
// Files:
//
//	frame.go, address.go, control.go, identifier.go   a frame and its parts
//	split.go, awaited.go         out of a stream: every frame; the one answer to a request
//	items.csv, items.go          the items, and their values out of data
//	bcd.go, units.go             one value
//	describe.go                  a frame explained; keys masked
//
//	meters.go                    which plan serves which verb; options of a meter
//	catalogue.go                 the items by name
//	read.go                      what is read, and in which ways a meter is asked
//	command.go, syncclock.go     valve, settlement day, clock
//	raw.go, find.go              a client's own frames; meters that nobody knows
package cjt188
