// Package simulator is a bus of electricity meters that speak DL/T 645-2007, for the demo,
// for tests and for anyone who has no meter at hand.
//
// A [Meter] answers reads (functions 11H, 12H and 13H), takes a few parameters (14H), the
// broadcast time (08H) and the relay commands (1CH). Its values follow a plausible day: the
// load has its peaks in the morning and in the evening, voltages wander around 220 V,
// current, power and power factor belong together, and the energy registers are the exact
// integral of the power. Everything is a function of seed, address and time, in integers, so
// that two runs give the same values digit by digit.
//
// A [Bus] puts meters on one half-duplex line at 11 bits a byte, with the turnaround of a
// real meter and with faults on demand: see [Fault]. A master reaches the line through a
// [Port] in memory, through TCP ([Bus.ServeTCP]) or through a pseudo terminal ([OpenPTY]).
// A port needs no goroutine and takes time from package time only, so a whole bus runs in
// the virtual time of testing/synctest.
//
// Meters keep the time of China, UTC+8 all year round.
package simulator
