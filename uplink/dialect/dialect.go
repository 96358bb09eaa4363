// Package dialect knows how clouds want to be spoken to: who logs in how, which topics carry
// what, how values, events and the comings and goings of devices are written, and what a call
// from the cloud means. There is one file a cloud.
//
//	dialect.go      what a dialect is, and which there are
//	json.go         plain JSON with keys of the user's choice, as DTUs send it
//	thingsboard.go  ThingsBoard, the device and the gateway API
//	jetlinks.go     JetLinks, its official protocol
//	aliyun.go       Alibaba Cloud IoT Platform (Alink JSON), and platforms that speak like it
//	huawei.go       Huawei Cloud IoTDA
//	tencent.go      Tencent Cloud IoT Explorer
//	onenet.go       China Mobile OneNET (OneJSON)
//	batch.go        how readings are cut into messages
//	encode.go       JSON whose members keep their order
//	sign.go         signatures
//	identifier.go   the names that a cloud takes
//	model.go        thing models, to be imported into the cloud
//
// All of it is pure: no connection, no clock, no goroutine. Moments and message ids come in from
// outside, messages go out. Numbers pass as the digits they came in.
package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Device is a meter as the cloud knows it. Where a report has no Device it is about the
// gateway itself, which in flat mode carries the values of all meters.
type Device struct {
	Root, Meter string // the bridge's root topic, and the name of the meter there

	Product string // product key or id; empty where the cloud has none
	Name    string // device name or id
	Secret  string // of the device, where the cloud wants one
	Prefix  string // flat mode: what its keys begin with, such as "1_"
}

// An Options says who the gateway is to the cloud, and how to differ from the usual.
type Options struct {
	Product, Device, Secret string

	ClientID string // thingsboard, json: instead of a client id of the dialect's making
	Username string // thingsboard, json: with Secret as the password

	Insecure bool     // the connection is not encrypted
	Devices  []Device // gateway mode: the sub-devices; empty: flat mode
	Commands []string // what calls are allowed, of "read", "relay", "config"

	Prefix     string   // aliyun: what topics begin with; "/sys" unless set
	SignMethod string   // aliyun, tencent, onenet: the hash, such as "hmacsha1"
	Topic      string   // json: the topic of reports, in which {device} stands for the device
	TimeForm   string   // json: ms, s, text or none
	Constants  []Member // json: members that every report has

	State      string // the key that says whether a meter can be reached; empty: online, in flat mode dev_state behind the prefix
	StateEvent string // aliyun: the event that says it instead, with that key as its output; {prefix} stands for the meter's
}

// Flat reports whether the gateway carries the values of all meters as its own.
func (o *Options) Flat() bool { return len(o.Devices) == 0 }

// stateKey returns the key that says whether a meter can be reached.
func (o *Options) stateKey(device *Device) string {
	switch {
	case o.Flat() && o.State == "":
		return device.Prefix + StateItem(true)
	case o.Flat():
		return device.Prefix + o.State
	case o.State == "":
		return StateItem(false)
	}
	return o.State
}

// StateItem is what the keys file calls the state of a meter, online or not.
func StateItem(flat bool) string {
	if flat {
		return "dev_state"
	}
	return "online"
}

// Allows reports whether calls of this kind are to be served.
func (o *Options) Allows(command string) bool { return slices.Contains(o.Commands, command) }

// A Login is what a CONNECT carries.
type Login struct {
	ClientID, Username, Password string
	KeepAlive                    time.Duration
}

// Traits are the limits of a cloud.
type Traits struct {
	Meters    int           // devices in one report at most
	Values    int           // values in one report at most
	Bytes     int           // of a payload at most
	PerSecond int           // messages a second at most
	Rate      int           // bytes of payloads a second, beside one of the greatest messages; 0: any
	Patience  time.Duration // how long the cloud waits for the answer to a call
	Clock     time.Duration // how far this host's clock may be from the cloud's at a login; 0: as far as it likes
	Host      string        // URL of the cloud, made from the identity; empty: the user must name it

	Sessions bool // nothing is taken of a device that has not logged in over the gateway's connection

	Identifier Rule // for keys
}

// A Reading is one value of one meter.
type Reading struct {
	Device *Device // nil: the gateway's own
	Item   string  // the bridge's name
	Key    string  // the cloud's name
	Value  json.RawMessage
	Time   time.Time
}

// A Notice is an event of a meter.
type Notice struct {
	Device  *Device
	Type    string // the bridge's event_type
	Time    time.Time
	Members []Member
}

// A Member is a name and a value of a JSON object.
type Member struct {
	Name  string
	Value json.RawMessage
}

// A Post is a message to the cloud.
type Post struct {
	Topic   string
	Payload []byte
	QoS     byte

	// Reply is the id under which the cloud answers. Empty: it is done when the cloud has
	// acknowledged the message.
	Reply string

	Readings []Reading // that it carries

	// Split writes it anew as two, each with a part of what it carries: where a cloud takes the whole of
	// it or nothing, one bad part keeps the rest from it. Nil if it carries one thing only.
	Split func() []Post
}

// A Reply is the cloud's answer to a Post.
type Reply struct {
	ID       string
	OK       bool
	Code     string
	Message  string
	Rejected []Rejection // what was not stored although the answer is a success
}

// A Rejection is one member of a post that the cloud did not take.
type Rejection struct{ Key, Reason string }

// A Verb is what a call wants.
type Verb string

// The verbs of calls. VerbSet is a wish to write a property: it is always refused.
const (
	VerbRead   Verb = "read"
	VerbRelay  Verb = "relay"
	VerbConfig Verb = "config"
	VerbSet    Verb = "set"
	VerbOther  Verb = "other"
)

// A Call is a request from the cloud.
type Call struct {
	ID      string
	Verb    Verb
	Name    string // the cloud's word for what it wants
	Device  string // name of the device; empty: the gateway itself
	Product string

	Meter   string          // flat mode: which meter is meant, if the call says so
	Action  string          // relay: trip, close …
	Keys    []string        // read
	Payload json.RawMessage // config

	Expires time.Time // zero: the call does not say
	Sent    time.Time // zero: the message has no time of its own

	Topic string          // where the call came, for the answer
	RawID json.RawMessage // thingsboard: the id as it was written

	Unsure string // why it is not sure what the call says, so that it is refused; who receives it may add that
}

// An Outcome is what became of a call.
type Outcome struct {
	OK      bool
	Code    string // of the bridge's closed list, or a result such as "unknown"; empty if OK
	Message string
	Result  string // verified, acknowledged, refused, unknown
	Relay   string // open or closed, where it is known
	Values  []Reading
}

// An IDs makes message ids, unique within a connection: digits.
type IDs func() string

// A Dialect is one way to speak to a cloud.
type Dialect interface {
	Name() string
	Traits() Traits
	Login(now time.Time) Login

	// Subscriptions are the topics to subscribe to, once connected.
	Subscriptions() []string

	// Announce and Withdraw tell the cloud that devices have come and gone.
	Announce(devices []*Device, now time.Time, ids IDs) []Post
	Withdraw(devices []*Device, now time.Time, ids IDs) []Post

	// Report makes messages of readings. history marks what comes late out of a meter's memory.
	Report(readings []Reading, history bool, ids IDs) []Post

	Event(notice Notice, ids IDs) []Post

	// Receive understands a message of the cloud. What it does not know brings nothing.
	Receive(topic string, payload []byte) (replies []Reply, calls []Call)

	Answer(call Call, outcome Outcome, now time.Time) []Post
}

var makers = map[string]func(Options) (Dialect, error){
	"json": newJSON, "thingsboard": newThingsBoard, "jetlinks": newJetLinks, "aliyun": newAliyun,
	"huawei": newHuawei, "tencent": newTencent, "onenet": newOneNET,
}

// Names returns the names of the dialects.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// New returns the dialect of that name. The error says what is missing of the identity.
func New(name string, options Options) (Dialect, error) {
	maker := makers[name]
	if maker == nil {
		return nil, fmt.Errorf("%q is no cloud; there are %s", name, strings.Join(Names(), ", "))
	}
	d, err := maker(options)
	if err == nil && name != "thingsboard" { // whose topics have no names in them
		err = options.topicNames(name == "json")
	}
	return d, err
}

// topicNames returns an error if a name cannot stand in a topic: a cloud ends the connection of who publishes to a
// wildcard. With a slash a name is two levels, which only a tree of the user's own has.
func (o *Options) topicNames(slashes bool) error {
	var complaints []error
	check := func(where, name string) {
		if strings.ContainsAny(name, "+#") || !slashes && strings.Contains(name, "/") || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
			complaints = append(complaints, fmt.Errorf("%s: %q cannot stand in a topic: it has a wildcard, a slash or a control character", where, name))
		}
	}
	check(wordProduct, o.Product)
	check(wordDevice, o.Device)
	for _, d := range o.Devices {
		check("the devices file", d.Product)
		check("the devices file", d.Name)
	}
	return errors.Join(complaints...)
}

// require returns an error that names what is missing of the identity.
func require(cloud string, have ...string) error {
	var missing []string
	for i := 0; i+1 < len(have); i += 2 {
		if have[i+1] == "" {
			missing = append(missing, have[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s needs %s", cloud, strings.Join(missing, ", "))
}

// deviceWords name what DLT645_UPLINK_… has to set for a dialect.
const (
	wordProduct = "DLT645_UPLINK_PRODUCT"
	wordDevice  = "DLT645_UPLINK_DEVICE"
	wordSecret  = "DLT645_UPLINK_SECRET"
)

// requireDevices checks that each sub-device has what the cloud must know of it.
func requireDevices(devices []Device, product, secret bool) error {
	names := map[[2]string]bool{}
	for _, d := range devices {
		name := [2]string{d.Name, d.Product}
		if !product { // the cloud does not hear of it
			name[1] = ""
		}
		switch {
		case names[name]:
			return fmt.Errorf("the devices file names the device %s twice", d.Name)
		case d.Name == "":
			return fmt.Errorf("the devices file names no device for meter %s", d.Meter)
		case product && d.Product == "":
			return fmt.Errorf("the devices file names no product for device %s", d.Name)
		case secret && d.Secret == "":
			return fmt.Errorf("the devices file names no secret for device %s", d.Name)
		}
		names[name] = true
	}
	return nil
}

// Text returns a member whose value is a text.
func Text(name, value string) Member { return Member{name, payload(value)} }

// rules are what clouds take as keys.
var rules = map[string]Rule{
	"json": {}, "thingsboard": {}, "jetlinks": plainRule(64), "aliyun": plainRule(50), "huawei": plainRule(64), "tencent": plainRule(32), "onenet": plainRule(50),
}

// RuleOf returns what a cloud takes as keys.
func RuleOf(cloud string) (Rule, error) {
	rule, ok := rules[cloud]
	if !ok {
		return rule, fmt.Errorf("%q is no cloud; there are %s", cloud, strings.Join(Names(), ", "))
	}
	return rule, nil
}
