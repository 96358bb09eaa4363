package cloud

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var hashes = map[string]func() hash.Hash{"hmacmd5": md5.New, "hmacsha1": sha1.New, "hmacsha256": sha256.New}

func sign(method string, key []byte, text string) string {
	h := hashes[strings.ToLower(method)]
	if h == nil {
		return "no such method"
	}
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

// Aliyun is Alibaba's platform with one gateway. Sub-devices must have logged in, each with its own
// signature, before anything of them is taken.
type Aliyun struct {
	Product, Device, Secret string

	Devices  map[string]string               // secrets of the sub-devices, by name
	Rejected func(Message) map[string]string // the data of the answer to a post; nil: nothing is rejected
	online   map[string]bool
}

// Password recomputes the password from a client id of the documented form.
func (a *Aliyun) Password(clientID, username string) string {
	id, rest, _ := strings.Cut(clientID, "|")
	parameters := map[string]string{"signmethod": "hmacsha256"}
	for part := range strings.SplitSeq(strings.Trim(rest, "|"), ",") {
		if name, value, found := strings.Cut(part, "="); found {
			parameters[name] = value
		}
	}
	if username != a.Device+"&"+a.Product {
		return "no such device"
	}
	text := "clientId" + id + "deviceName" + a.Device + "productKey" + a.Product
	if timestamp := parameters["timestamp"]; timestamp != "" {
		text += "timestamp" + timestamp
	}
	a.online = map[string]bool{} // with the connection the sessions of sub-devices have ended
	return sign(parameters["signmethod"], []byte(a.Secret), text)
}

// Subscribed are the replies that a device gets without a subscription, if its client id asks for that.
func (a *Aliyun) Subscribed(clientID string) []string {
	if !strings.Contains(clientID, "_ss=1") {
		return nil
	}
	return []string{"/sys/" + a.Product + "/" + a.Device + "/thing/event/property/post_reply"}
}

// A scalar is a JSON string or number, as text.
type scalar string

// UnmarshalJSON takes either.
func (s *scalar) UnmarshalJSON(data []byte) error {
	*s = scalar(strings.Trim(string(data), `"`))
	return nil
}

// An aliDevice is a sub-device as it stands in topology and login.
type aliDevice struct {
	Product     string `json:"productKey"`
	Name        string `json:"deviceName"`
	ClientID    string `json:"clientId"`
	Timestamp   scalar `json:"timestamp"`
	SignMethod  string `json:"signMethod"`
	SignMethod2 string `json:"signmethod"`
	Sign        string `json:"sign"`
}

// signed reports whether a sub-device has signed with its own secret.
func (a *Aliyun) signed(d aliDevice, method string) bool {
	for _, m := range []string{d.SignMethod, d.SignMethod2} {
		if m != "" {
			method = m
		}
	}
	text := "clientId" + d.ClientID + "deviceName" + d.Name + "productKey" + d.Product
	if d.Timestamp != "" {
		text += "timestamp" + string(d.Timestamp)
	}
	secret, known := a.Devices[d.Name]
	return known && strings.EqualFold(d.Sign, sign(method, []byte(secret), text))
}

// Answer answers as the platform does.
func (a *Aliyun) Answer(m Message) []Message {
	var post struct {
		ID     json.RawMessage `json:"id"`
		Params json.RawMessage `json:"params"`
	}
	if json.Unmarshal(m.Payload, &post) != nil || post.ID == nil || strings.HasSuffix(m.Topic, "_reply") {
		return nil
	}
	code, message, data := 200, "success", any(map[string]string{})
	refuse := func(why string) { code, message = 460, why }
	login := func(method string, list []aliDevice) {
		for _, d := range list {
			if !a.signed(d, method) {
				refuse("invalid sign of " + d.Name)
				return
			}
		}
		for _, d := range list {
			a.online[d.Name] = true
		}
	}
	session := "/ext/session/" + a.Product + "/" + a.Device + "/combine/"
	switch topic := m.Topic; {
	case strings.HasSuffix(topic, "/thing/topo/add"):
		var list []aliDevice
		if json.Unmarshal(post.Params, &list) != nil || len(list) > 30 {
			refuse("request parameter error")
		}
		for _, d := range list {
			if !a.signed(d, "hmacsha1") {
				refuse("invalid sign of " + d.Name)
			}
		}
	case topic == session+"login":
		var d aliDevice
		if json.Unmarshal(post.Params, &d) != nil {
			refuse("request parameter error")
			break
		}
		login("hmacsha1", []aliDevice{d})
	case topic == session+"batch_login":
		var batch struct {
			Method string      `json:"signMethod"`
			List   []aliDevice `json:"deviceList"`
		}
		if json.Unmarshal(post.Params, &batch) != nil || len(batch.List) > 50 {
			refuse("request parameter error")
			break
		}
		login(batch.Method, batch.List)
	case topic == session+"batch_logout":
		var list []aliDevice
		if json.Unmarshal(post.Params, &list) != nil || len(list) > 50 {
			refuse("request parameter error")
		}
		for _, d := range list {
			delete(a.online, d.Name)
		}
	case strings.HasSuffix(topic, "/pack/post"):
		var pack struct {
			SubDevices []struct {
				Identity   aliDevice                  `json:"identity"`
				Properties map[string]json.RawMessage `json:"properties"`
			} `json:"subDevices"`
		}
		if json.Unmarshal(post.Params, &pack) != nil || len(pack.SubDevices) > 20 {
			refuse("request parameter error")
		}
		values := 0
		for _, d := range pack.SubDevices {
			values += len(d.Properties)
			if !a.online[d.Identity.Name] {
				code, message = 520, "the session of "+d.Identity.Name+" does not exist"
			}
		}
		if values > 200 {
			refuse("request parameter error")
		}
	case strings.HasPrefix(topic, "/sys/"):
		if device := strings.Split(topic, "/")[3]; device != a.Device && !a.online[device] {
			code, message = 520, "the session of "+device+" does not exist"
		}
	default:
		return nil
	}
	if a.Rejected != nil {
		if of := a.Rejected(m); of != nil {
			data = of
		}
	}
	answer, err := json.Marshal(map[string]any{"id": post.ID, "code": code, "message": message, "data": data})
	if err != nil {
		return nil
	}
	return []Message{{Topic: m.Topic + "_reply", Payload: answer}}
}

// Tencent is Tencent's platform with one gateway. Devices that have not gone online are not heard.
type Tencent struct {
	Product, Device, Secret string

	Now    func() time.Time // the platform's clock; unset: this host's
	online map[string]bool
}

// Password recomputes the password from the user name; its end says by which method.
func (t *Tencent) Password(method string) func(clientID, username string) string {
	return func(clientID, username string) string {
		key, err := base64.StdEncoding.DecodeString(t.Secret)
		if parts := strings.Split(username, ";"); err != nil || len(parts) != 4 || parts[0] != t.Product+t.Device || clientID != parts[0] || len(parts[2]) != 5 {
			return "no such device"
		} else if expiry, err := strconv.ParseInt(parts[3], 10, 64); err != nil || expiry < clock(t.Now).Unix() {
			return "the signature has expired"
		}
		t.online = map[string]bool{t.Product + "/" + t.Device: true}
		return sign(method, key, username) + ";" + method
	}
}

// Answer answers as the platform does.
func (t *Tencent) Answer(m Message) []Message {
	var post struct {
		Method string `json:"method"`
		Token  string `json:"clientToken"`
		Type   string `json:"type"`
		Time   int64  `json:"timestamp"`
		Load   struct {
			Devices []struct {
				Product string `json:"product_id"`
				Name    string `json:"device_name"`
			} `json:"devices"`
		} `json:"payload"`
	}
	if json.Unmarshal(m.Payload, &post) != nil {
		return nil
	}
	if gateway, ok := strings.CutPrefix(m.Topic, "$gateway/operation/"); ok {
		var devices []map[string]any
		for _, d := range post.Load.Devices {
			t.online[d.Product+"/"+d.Name] = post.Type == "online"
			devices = append(devices, map[string]any{"product_id": d.Product, "device_name": d.Name, "result": 0})
		}
		answer, err := json.Marshal(map[string]any{"type": post.Type, "payload": map[string]any{"devices": devices}})
		if err != nil {
			return nil
		}
		return []Message{{Topic: "$gateway/operation/result/" + gateway, Payload: answer}}
	}
	rest, ok := strings.CutPrefix(m.Topic, "$thing/up/")
	kind, device, _ := strings.Cut(rest, "/")
	replies := map[string]string{"report": "report_reply", "event_post": "event_reply", "get_status": "get_status_reply"}
	if !ok || replies[post.Method] == "" || !t.online[device] {
		return nil
	}
	answer, err := json.Marshal(map[string]any{"method": replies[post.Method], "clientToken": post.Token, "code": 0, "status": "success"})
	if err != nil {
		return nil
	}
	return []Message{{Topic: "$thing/down/" + kind + "/" + device, Payload: answer}}
}

// ThingsBoardPassword lets in the gateway whose user name is the access token.
func ThingsBoardPassword(token string) func(clientID, username string) string {
	return func(_, username string) string {
		if username != token {
			return "no such device"
		}
		return ""
	}
}

// ThingsBoardAnswer answers what a device may ask: the limits of its session.
func ThingsBoardAnswer(m Message) []Message {
	if id, ok := strings.CutPrefix(m.Topic, "v1/devices/me/rpc/request/"); ok && strings.Contains(string(m.Payload), "getSessionLimits") {
		return []Message{{Topic: "v1/devices/me/rpc/response/" + id, Payload: []byte(`{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{}}`)}}
	}
	return nil
}

// clock reads a platform's clock.
func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// Huawei is Huawei's platform with one gateway. It answers no reports.
type Huawei struct{ Device, Secret string }

// Password recomputes the password, whose key is the hour in the client id; for type 0 it may be any.
func (h *Huawei) Password(clientID, username string) string {
	hour, ok := strings.CutPrefix(clientID, h.Device+"_0_0_")
	if _, err := time.Parse("2006010215", hour); !ok || err != nil || username != h.Device {
		return "no such device"
	}
	return sign("hmacsha256", []byte(hour), h.Secret)
}

// OneNET is China Mobile's platform with one gateway. Sub-devices must have logged in.
type OneNET struct {
	Product, Device, Secret string

	Now    func() time.Time // the platform's clock; unset: this host's
	online map[string]bool
}

// Verify recomputes the signature of the token, and looks whether it has run out.
func (o *OneNET) Verify(clientID, username, password string) string {
	parameters, err := url.ParseQuery(password)
	key, keyErr := base64.StdEncoding.DecodeString(o.Secret)
	resource := "products/" + o.Product + "/devices/" + o.Device
	until, numberErr := strconv.ParseInt(parameters.Get("et"), 10, 64)
	switch {
	case err != nil || keyErr != nil || numberErr != nil || clientID != o.Device || username != o.Product || parameters.Get("res") != resource:
		return "no such device"
	case until < clock(o.Now).Unix():
		return "the token has run out"
	}
	method := parameters.Get("method")
	signature, err := hex.DecodeString(sign("hmac"+method, key, parameters.Get("et")+"\n"+method+"\n"+resource+"\n2018-10-31"))
	if err != nil || parameters.Get("sign") != base64.StdEncoding.EncodeToString(signature) {
		return "wrong password"
	}
	o.online = map[string]bool{}
	return ""
}

// Answer answers as the platform does.
func (o *OneNET) Answer(m Message) []Message {
	type device struct {
		Product string `json:"productID"`
		Name    string `json:"deviceName"`
	}
	var post struct {
		ID     string          `json:"id"`
		Params json.RawMessage `json:"params"`
	}
	kind, ok := strings.CutPrefix(m.Topic, "$sys/"+o.Product+"/"+o.Device+"/thing/")
	if !ok || json.Unmarshal(m.Payload, &post) != nil || post.ID == "" || strings.HasSuffix(kind, "_reply") {
		return nil
	}
	code, message := 200, "success"
	switch kind {
	case "sub/login", "sub/logout":
		var d device
		if json.Unmarshal(post.Params, &d) != nil || d.Name == "" {
			code, message = 2400, "bad parameters"
		}
		o.online[d.Name] = kind == "sub/login"
	case "pack/post", "history/post":
		var pack []struct {
			Identity device `json:"identity"`
		}
		if json.Unmarshal(post.Params, &pack) != nil {
			code, message = 2400, "bad parameters"
		}
		for _, d := range pack {
			if d.Identity.Name != o.Device && !o.online[d.Identity.Name] {
				code, message = 2409, d.Identity.Name+" is not online"
			}
		}
	case "property/post", "event/post":
	default:
		return nil
	}
	answer, err := json.Marshal(map[string]any{"id": post.ID, "code": code, "msg": message})
	if err != nil {
		return nil
	}
	return []Message{{Topic: m.Topic + "/reply", Payload: answer}}
}

// JetLinks is a JetLinks server with one gateway. It answers no reports.
type JetLinks struct {
	Product, Device, ID, Key string

	Now func() time.Time // the platform's clock; unset: this host's
}

// Password recomputes the password. The time of the login may be five minutes from the platform's.
func (j *JetLinks) Password(clientID, username string) string {
	id, ms, _ := strings.Cut(username, "|")
	at, err := strconv.ParseInt(ms, 10, 64)
	switch {
	case err != nil || id != j.ID || clientID != j.Device:
		return "no such device"
	case clock(j.Now).Sub(time.UnixMilli(at)).Abs() > 5*time.Minute:
		return "the clocks differ"
	}
	sum := md5.Sum([]byte(username + "|" + j.Key))
	return hex.EncodeToString(sum[:])
}

// levels are the MQTT versions that a cloud takes.
func (c *Config) takes(level byte) bool {
	if c.Levels == nil {
		return level == 4
	}
	return slices.Contains(c.Levels, level)
}
