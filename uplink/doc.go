// Package uplink carries what bridges publish to one cloud, and what the cloud asks back to the
// bridges. It is a process of its own, with no port and no meter passwords: it knows the meters
// only through the topics that every client sees, and may do only what the broker's access list
// lets its account do.
//
//	uplink.go      the Uplink and its life
//	local.go       the two connections to the local broker
//	cloud.go       the connection to the cloud (the only user of paho.mqtt.golang)
//	bounded.go     how large and how ambiguous a message of the cloud may be
//	flow.go        how messages become posts, and when they are acknowledged
//	quarantine.go  posts and devices at which the cloud ends the connection
//	translate.go   which readings of a state are new, and what they are called
//	presence.go    which meters can be reached
//	calls.go       what the cloud asks
//	backfill.go    what meters remember of a gap
//	devices.go     what the cloud calls the meters
//	keys.go        what the cloud calls the items
//	tables.go      the CSV files that users write
//	check.go       what a cloud would refuse
//	metrics.go     what /metrics shows
//
// Values are kept by the broker, not here: a message is acknowledged only when the cloud has it.
// So nothing is lost while the cloud, or the uplink, is away, and nothing is written to a disk.
package uplink
