// Package simulator is a bus of electricity meters that speak DL/T 645-2007 or -1997, for the
// demo, for tests and for anyone who has no meter at hand.
//
// A [Meter] answers reads, with follow-up frames, and carries out every command of its
// edition: write, address, clock, freeze, speed, password, the clearings, relay and output. It
// checks passwords and may lock, keeps what is written to it, and counts what it did
// ([Counts]), so that a test can tell whether a command ran more than once. Written schedules,
// prices and display lists are stored and read back; the tariffs change at the same hours
// whatever they say, and the line keeps its speed.
//
// Its values follow a plausible day: the load has its peaks in the morning and in the
// evening, voltages wander around 220 V, current, power and power factor belong together, and
// the energy registers are the exact integral of the power. Settlements, freezes, load records
// and maximum demands are what the registers were at their time. Everything is a function of
// seed, address and time, in integers, so that two runs give the same values digit by digit,
// and meters of both editions the same. A meter may also count its exchanges in its values, so
// that a stale or foreign one is noticed: see [Counted].
//
// A [Bus] puts meters on one half-duplex line at 11 bits a byte, with the turnaround of a
// real meter and with faults on demand: see [Fault]. A master reaches the line through a
// [Port] in memory, through TCP ([Bus.ServeTCP]) or through a pseudo terminal ([OpenPTY],
// [Bus.ServePTY]). A port needs no goroutine and takes time from package time only, so a whole
// bus runs in the virtual time of testing/synctest.
//
// Meters of other protocols may be on the same line: [Meter698] (DL/T 698.45), [Meter188] (CJ/T 188: water, heat
// and gas) and [Slave] (Modbus RTU by a register map).
//
// Meters keep the time of China, UTC+8 all year round.
package simulator
