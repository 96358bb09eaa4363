// Package dlt698 speaks DL/T 698.45, the object-oriented protocol of newer electricity meters in
// China. It is pure: no clock, no goroutine, no input or output; whoever calls it brings the time
// and the bytes.
//
// A frame on the wire, client to server (the meter) and back, half duplex, mostly 9600 baud 8E1:
//
//	68 L L C AF SA … CA HCS HCS DATA … FCS FCS 16
//
//	L      number of bytes but for 68 and 16, low byte first
//	C      control byte: D7 from the meter, D6 the client began, D5 a fragment, D3 33H is added
//	       to every byte of DATA, D2…D0 function
//	AF     D7 D6 kind of the address, D5 D4 logical address, D3…D0 bytes of SA less one
//	SA     address of the meter, two digits a byte, the last pair first
//	CA     address of the client, which the meter repeats
//	HCS    checksum from L to CA, FCS from L to the end of DATA: CRC-16/X-25, low byte first
//	DATA   an APDU, or a fragment of one; in it the highest byte comes first
//
// Wake-up bytes FE may come before it and are no part of it. Reading the voltages of meter
// 000000000001, and 241.3, 241.4 and 241.5 V in answer:
//
//	68 17 00 43 05 01 00 00 00 00 00 10 26 F6 05 01 00 20 00 02 00 00 E5 BE 16
//	68 24 00 C3 05 01 00 00 00 00 00 10 … 85 01 00 20 00 02 00 01 01 03 12 09 6D 12 09 6E 12 09 6F 00 00 … 16
//
// Package main makes [Meters] for the bridge, and explains frames with [Describe]; the simulator
// takes and gives [Frame]s and [APDU]s. Files:
//
//	frame.go, address.go, control.go, checksum.go, fragment.go   a frame and its parts
//	split.go, awaited.go           out of a stream: every frame; the one answer to a request
//	apdu.go, apduappend.go, cursor.go, dar.go                    an APDU out of bytes and back
//	tag.go, data.go, selector.go, text.go, moment.go             values of every type
//	describe.go, redact.go, explain.go                           a frame explained, or without passwords
//
//	dictionary.go, letter.go, items.csv, flags.go, flags.csv     the items
//	lookup.go, catalogue.go        look them up
//	item.go, encode.go             what an item's data say, and back
//
//	meters.go                      which plan serves which verb
//	talk.go, get.go                one APDU and its answer; one read to its end
//	read.go, record.go, column.go, history.go                    lists, rows of records, what meters store
//	command.go, relay.go, clock.go                               commands
//	raw.go, finder.go              a client's own frames; meters that nobody knows
package dlt698

// Name is what configurations and frames call the protocol.
const Name = "698"
