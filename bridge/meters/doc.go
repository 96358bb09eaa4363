// Package meters looks after the meters that have names or points: it polls them, keeps what is known of
// each, and publishes what is news. It has three neighbours: it publishes through a [Publisher], hears of
// the broker what it asks a [mqtt.Subscriber] for, and has plans carried out by [Requests]. Whoever carries a
// plan out, for whomever, tells [Keeper.Observe] what it brought.
//
//	keeper.go        the Keeper, its neighbours, and the order of the locks
//	topics.go        the topics about meters
//	directory.go     which meter a name or an address means
//	table.go         the point table in force
//	budget.go        what a table takes of the wire
//	poll.go          which points are read when
//	background.go    what is asked of meters though nobody waits for it
//	lackingitems.go  what a meter does not have, so that it is not asked for in vain
//	record.go        what is kept of a meter, and what becomes of a reading
//	state.go         the last good values
//	readings.go      each reading as it comes, for databases
//	availability.go  which meters can be reached
//	fresh.go         which of their values are worth showing
//	events.go        limits and implausible values
//	inspect.go       what is read beside the points: clock, power failures, ratings
//	metrics.go       what /metrics shows of them
//	description.go   what bridge/description says of the meters and their points
//	announcer.go     what Home Assistant is told
//	published.go     the list of what the broker keeps of us
package meters
