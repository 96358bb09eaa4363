package dlt645

import "dlt645-mqtt/protocol"

// The keys of the bodies of commands, as package protocol has them.
var (
	itemKey    = protocol.Key{Name: protocol.ArgumentItem, Want: "the name of an item, or its identifier as a string"}
	valueKey   = protocol.Key{Name: protocol.ArgumentValue, Type: protocol.KeyJSON, Want: "the value to write"}
	levelKey   = protocol.Key{Name: keyLevel, Want: "the level of a password, a string of two digits"}
	confirmKey = protocol.Key{Name: keyConfirm, Want: "the address of the meter, as a string"}
	atKey      = protocol.Key{Name: keyAt, Want: "a string"}
)

// The actions of both editions. What else one of them does not have is told when it is planned.
var actions = map[protocol.Verb][]protocol.Action{
	protocol.VerbWrite: {{Keys: []protocol.Key{itemKey, valueKey, levelKey}, Level: levelOfWriting}},
	protocol.VerbRelay: relayVerb(),
	protocol.VerbMaintenance: {
		{Name: "sync_clock", Keys: []protocol.Key{levelKey}, Level: levelOfWriting},
		{Name: "freeze", Keys: []protocol.Key{atKey}},
		{Name: "clear_demand", Keys: []protocol.Key{levelKey}, Level: levelOfWriting},
		{Name: "clear_events", Keys: []protocol.Key{itemKey, levelKey}, Level: levelOfClearing},
		{Name: "clear_meter", Keys: []protocol.Key{confirmKey, levelKey}, Level: levelOfClearing},
		{Name: "set_address", Keys: []protocol.Key{{Name: keyNewAddress, Want: "a string of up to 12 digits"}, confirmKey}},
		{Name: "set_baud", Keys: []protocol.Key{{Name: keyBaud, Type: protocol.KeyInteger, Want: "a whole number of bits per second"}, confirmKey}},
		{Name: "set_password", Keys: []protocol.Key{levelKey, {Name: keyNewPassword, Want: "a string of six digits"}, confirmKey}, Level: protocol.AnyLevel},
		{Name: "output", Keys: []protocol.Key{{Name: keySignal, Want: "a string"}}},
	},
	protocol.VerbBroadcast: {{Name: "time"}, {Name: "freeze", Keys: []protocol.Key{atKey}}},
}

// relayVerb returns the actions of the verb relay.
func relayVerb() (verb []protocol.Action) {
	for _, a := range relayActions {
		verb = append(verb, protocol.Action{Name: a.name, Keys: []protocol.Key{levelKey}, Level: levelOfClearing, Watched: true})
	}
	return verb
}

// Actions returns what commands of a verb can do. No meter of 1997 has a function that moves a relay.
func (m *Meters) Actions(verb protocol.Verb) []protocol.Action {
	if verb == protocol.VerbRelay && m.version == V1997 {
		return nil
	}
	return actions[verb]
}
