//go:build linux

// Command chaos tries the bridge as the world will: it runs the real binary against a real
// mosquitto and simulated meters, over TCP, over a pseudo terminal and through a DTU in topics
// of the broker, lets several clients read, switch and talk nonsense, and meanwhile kills, freezes, cuts off and brings back
// whatever there is, in an order that depends on a seed.
//
// It keeps a ledger of every request, from the client to the reply, and of what every meter
// did. Between each bridge and the broker sits a witness, a proxy that reads the MQTT packets
// as they pass: it alone can tell a request that the bridge has taken from one that the broker
// lost, and a reply that was given twice from one that MQTT carries again because nobody
// acknowledged it. The ledger's verdict is in verdict.go.
//
// It exits with status 1 if any value was wrong, any reply lost or doubled, any command run
// twice, or the bridge ended or grew by itself.
package main
