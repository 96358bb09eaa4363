// Package dlt645 speaks DL/T 645-2007 and DL/T 645-1997, the protocol of electricity meters
// in China. It is pure: no clock, no goroutine, no input or output. It implements
// [protocol.Protocol] with [Meters].
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
// [Frame], [ScanFrame] and [Describe] are about frames; [Address], [Control], [Function] and
// [Version] are their parts; [DI], [Item], [Dictionary] and [Picture] are what the data mean.
package dlt645
