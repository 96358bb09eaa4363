package bridge

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dlt645-mqtt/protocol"
)

// The branches of the topic tree under the root. What is about meters stands in meters/topics.go.
const (
	branchRequest = "request"
	branchReply   = "reply"

	topicStatus = "bridge/status"
	topicInfo   = "bridge/info"
	topicFrame  = "bridge/frame"

	topicScan   = "bridge/scan"
	topicAudit  = "bridge/audit"
	topicConfig = "bridge/config"
)

// The limits of a response topic.
const (
	maxReplyTopic  = 512
	maxReplyLevels = 32
)

// What the retained status topic says.
const (
	statusOnline  = "online"
	statusOffline = "offline"
)

// The verbs of request topics.
const (
	verbRead        = string(protocol.VerbRead)
	verbWrite       = string(protocol.VerbWrite)
	verbRelay       = string(protocol.VerbRelay)
	verbMaintenance = string(protocol.VerbMaintenance)
	verbRaw         = string(protocol.VerbRaw)
	verbBroadcast   = string(protocol.VerbBroadcast)
	verbScan        = "scan"
	verbConfig      = "config"
)

// Verbs lists every verb of a request topic. A reply topic of a client's own choice must not
// begin with one of them, or a client that may only read could forge the reply to a relay.
var Verbs = []string{verbRead, verbWrite, verbRelay, verbMaintenance, verbRaw, verbBroadcast, verbScan, verbConfig}

// Classes lists the classes of requests that an operator allows one by one.
var Classes = []string{
	string(protocol.PermitRead), string(protocol.PermitWrite), string(protocol.PermitRelay), string(protocol.PermitMaintenance),
	string(protocol.PermitBroadcast), verbRaw, verbConfig,
}

// A Code is an error code of the contract.
type Code string

// The error codes: a closed list.
const (
	CodeBadRequest   Code = "bad_request"
	CodeUnknownMeter Code = "unknown_meter"
	CodeUnknownItem  Code = "unknown_item"
	CodeNotAllowed   Code = "not_allowed"
	CodeUnsupported  Code = "unsupported"
	CodeBusy         Code = "busy"
	CodeExpired      Code = "expired"
	CodeConflict     Code = "conflict"
	CodeTimeout      Code = "timeout"
	CodeGarbled      Code = "garbled"
	CodeRefused      Code = "refused"
	CodeBusDown      Code = "bus_down"
	CodeStopping     Code = "stopping"
	CodeInternal     Code = "internal"
)

// Codes lists every error code.
var Codes = []Code{
	CodeBadRequest, CodeUnknownMeter, CodeUnknownItem, CodeNotAllowed, CodeUnsupported, CodeBusy, CodeExpired,
	CodeConflict, CodeTimeout, CodeGarbled, CodeRefused, CodeBusDown, CodeStopping, CodeInternal,
}

// The results of a command.
const (
	resultVerified     = "verified"
	resultAcknowledged = "acknowledged"
	resultRefused      = "refused"
	resultUnknown      = "unknown"
	resultSent         = "sent"
)

// A tree builds and reads the topics under one root.
type tree string

func (t tree) join(tail string) string { return string(t) + "/" + tail }

// requests is the one filter that the bridge subscribes to.
func (t tree) requests() string { return t.join(branchRequest + "/#") }

// request splits a request topic into its verb and target. ok is false for topics outside the
// request branch.
func (t tree) request(topic string) (verb, target string, ok bool) {
	if topic == t.join(branchRequest) { // the filter matches that as well
		return "", "", true
	}
	tail, ok := strings.CutPrefix(topic, t.join(branchRequest)+"/")
	verb, target, _ = strings.Cut(tail, "/")
	return verb, target, ok
}

// reply is the topic of the reply to a request that names no other: the request's tail again.
func (t tree) reply(topic string) string {
	return t.join(branchReply) + strings.TrimPrefix(topic, t.join(branchRequest))
}

// mayReply reports whether the bridge publishes a reply to a topic that a client has chosen.
// The reason, empty if it does, completes "the response topic …".
func (t tree) mayReply(topic string) (reason string) {
	tail, inside := strings.CutPrefix(topic, t.join(branchReply)+"/")
	first, _, _ := strings.Cut(tail, "/")
	switch {
	case len(topic) > maxReplyTopic || strings.Count(topic, "/") >= maxReplyLevels:
		// Brokers throw out whoever publishes to a topic that is beyond their own limits.
		return fmt.Sprintf("is longer than %d bytes or deeper than %d levels", maxReplyTopic, maxReplyLevels)
	case strings.ContainsAny(topic, "+#"):
		return "contains a wildcard"
	case !utf8.ValidString(topic) || strings.ContainsFunc(topic, unicode.IsControl):
		return "contains a control character, or is not UTF-8" // brokers throw out whoever publishes to such a topic, too
	case !inside || first == "":
		return "does not lie under " + t.join(branchReply) + "/"
	case slices.Contains(Verbs, first):
		return "lies under the verb " + first + ", where only the bridge's own choice of topic goes"
	}
	return ""
}
