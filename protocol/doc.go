// Package protocol says what a bus protocol is: something pure that turns a request into
// steps, each one a conversation with one meter on a half-duplex line. The package knows
// neither clock nor port nor MQTT. A concrete protocol, such as package dlt645, implements
// [Protocol]; package bus runs the steps; package bridge makes requests out of messages
// and replies out of results.
//
// The seam:
//
//	protocol.go    the Protocol; requests, plans, steps, exchanges, results and errors
//	address.go     addresses, and the keys of meters
//	line.go        what a protocol needs of the wire
//	catalogue.go   what items there are, and which play a role
//	finder.go      how meters are looked for
//	command.go     actions of commands, and reports of what is known of them
//
// What protocols share:
//
//	ending.go      how a command ended, and what is reported of a write
//	watch.go       looks whether a relay or a valve has moved
//	clock.go       when a clock may be set, and whether that worked
//	moment.go      moments as RFC 3339 writes them
//	decimal.go     exact numbers
//	format.go      how items of a user's own lie in bytes
//	ratios.go      ratios of transformers before a meter
//	table.go       tables that are part of the binary
//	sheet.go       tables that people write
//	pattern.go     patterns of item names
//	vocabulary.go  what items are called, for those who misspell them
//	everyday.go    words that people use for items
//	reserved.go    names that no item may have
//	object.go      JSON objects whose members keep their order
package protocol
