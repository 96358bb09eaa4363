package meters

// The topics under the root that are about meters. The others stand in topics.go of package bridge.
const (
	topicDescription = "bridge/description"
	topicPublished   = "bridge/published"

	// Under the branch of a meter.
	branchMeter       = "meter"
	topicState        = "state"
	topicReadings     = "readings"
	topicAvailability = "availability"
	topicEvent        = "event"
	topicStale        = "stale"
)

// What the retained topic of a meter's availability says.
const (
	statusOnline  = "online"
	statusOffline = "offline"
)

// A tree builds the topics under one root.
type tree string

func (t tree) join(tail string) string { return string(t) + "/" + tail }

// ofMeter is a topic about a meter.
func (t tree) ofMeter(name, topic string) string {
	return t.join(branchMeter + "/" + name + "/" + topic)
}
