package bridge

import (
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// unasked carries out what the keeper of the meters asks of them though nobody waits for it.
type unasked struct{ *Bridge }

func (u unasked) Begin(f func()) bool {
	if !u.admission.enter() {
		return false
	}
	u.later(f)
	return true
}

func (u unasked) CarryOut(m *meters.Entry, plan protocol.Plan, items []string) (meters.Answered, error) {
	t := &turn{mode: m.Mode, items: items} // without a deadline
	p, err := u.begin(t, plan, false)
	if err != nil {
		return meters.Answered{}, err
	}
	c := u.seeThrough(t, p)
	return meters.Answered{Address: c.address, Silent: c.silent(), Passing: c.passing()}, nil
}
