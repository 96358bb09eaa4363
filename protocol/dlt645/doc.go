// Package dlt645 speaks DL/T 645-2007 and DL/T 645-1997, the protocol of electricity meters
// in China. It is pure: no clock, no goroutine, no input or output; whoever calls it brings the
// time and the bytes. [Meters] implements [protocol.Protocol], and [protocol.Catalogue] and
// [protocol.Finder] with it.
//
// A frame on the wire, master to meter and back, half duplex, 8E1:
//
//	68 A0 A1 A2 A3 A4 A5 68 C L DATA CS 16
//
//	A0…A5  address of the meter, twelve BCD digits, lowest pair first
//	C      control code: D7 answer, D6 refusal, D5 more to come, D4…D0 function
//	L      number of bytes of DATA
//	DATA   every byte with 33H added; identifiers and numbers lowest byte first
//	CS     sum of all bytes before it from the first 68, modulo 256, as sent
//
// Wake-up bytes FE may come before it and are no part of it. Reading the forward active
// energy of meter 112233445566, and 123456.78 kWh in answer:
//
//	68 66 55 44 33 22 11 68 11 04 33 33 34 33 17 16
//	68 66 55 44 33 22 11 68 91 08 33 33 34 33 AB 89 67 45 7B 16
//
// Package main makes [Meters] for the bridge, and explains frames with [Describe]; the simulator
// takes and gives [Frame]s and finds in the [Dictionary] what they carry. Files:
//
//	frame.go, address.go, control.go, di.go, version.go   a frame and its parts
//	split.go, awaited.go         out of a stream: every frame; the one answer to a request
//	refusal.go, redact.go        error answers; passwords masked
//	describe.go, content.go, contentfield.go              a frame explained
//
//	dictionary.go, items-*.csv   the items; lookup.go and catalogue.go look them up
//	entry.go, family.go, letter.go, template.go   a row, what runs in its identifiers and in its names
//	item.go, record.go           an item, and objects and lists, out of data and back
//	picture.go, calendar.go, bcd.go     one value
//	flags.go                     the bits of words
//	concatenation.go, loadrecord.go, activereport.go      what is laid out in other ways
//
//	meters.go                    which plan serves which verb
//	read.go, blocks.go, conversation.go   registers, several as one, one to its end
//	history.go, freezehistory.go, loadhistory.go          what meters store
//	command.go, relay.go, write.go, broadcast.go          commands
//	maintenance.go, freeze.go, setaddress.go, syncclock.go, clock.go
//	raw.go, find.go              a client's own frames; meters that nobody knows
package dlt645
