package dialect

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSignatures compares with results that the platforms, or their users, have published.
func TestSignatures(t *testing.T) {
	aliyun := func(method, secret, client, device, product, timestamp string) string {
		parameters := map[string]string{"clientId": client, "deviceName": device, "productKey": product}
		if timestamp != "" {
			parameters["timestamp"] = timestamp
		}
		return signSorted(hashes[method], secret, parameters)
	}
	base64Of := func(key, text, method string) string {
		k, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(hmacOf(hashes[method], k, text))
	}
	const oneKey = "KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw="
	for _, row := range []struct{ name, got, want string }{
		{"Alibaba, its documentation", aliyun("hmacsha1", "secret", "12345", "device", "pk", "789"), "fafd82a3d602b37fb0fa8b7892f24a477f851a14"},
		{"Alibaba, an article", aliyun("hmacsha1", "oLyaKqVxtRvjH284LdhqVgVUx1UPy6zq", "SN1928339", "light1983432", "a14Xib5kdYd", "1539421321846"), "b2488041f64f425016b467ee1c94959ebd592ad1"},
		{"Alibaba, without a time", aliyun("hmacsha1", "amzS2Q9siGHpSVDVhvDV43661DmfdXtW", "XP001", "XP001", "a1Ze3BcsQ5x", ""), "cc4e388e7f1ea1e5bdaf15891b76f2dfcfeffb06"},
		{"Alibaba, a sub-device", aliyun("hmacmd5", "1234", "868575026974305", "868575026974305", "a1PB5fp1234", "1646277090411"), "3ba0dfa4c477b40c007d84d30d6466cc"},
		{"Alibaba, SHA-256", aliyun("hmacsha256", "0123456789abcdef0123456789abcdef", "a1B2c3D4e5F.meter1", "meter1", "a1B2c3D4e5F", "2524608000000"), "cc4cfa48bc8c79cf741313a0c0dc435023d87c079f1b3b1d726309062ce6f7a9"},
		{"Huawei", hex.EncodeToString(hmacOf(hashes["sha256"], []byte("2025041401"), "12345678")), "c75150e6cb841417396819e4d2ee4358a416344a03a083e3a8567074ddec820a"},
		{"OneNET, a product", base64Of(oneKey, "1537255523\nsha1\nproducts/123123\n2018-10-31", "sha1"), "lsaPSiiGvEFFjXu5WU7a6IkScqE="},
		{"OneNET, a device", base64Of(oneKey, "1537255523\nsha256\nproducts/123123/devices/mydev\n2018-10-31", "sha256"), "dL9mxHdJXyd2TZcmTna60TMUei2dYU5W6iOow7fH/7w="},
	} {
		if row.got != row.want {
			t.Errorf("%s: %s, want %s", row.name, row.got, row.want)
		}
	}
}

// TestLogins holds the whole of a CONNECT against known ones.
func TestLogins(t *testing.T) {
	at := time.Date(2025, 4, 14, 9, 30, 0, 0, time.FixedZone("CST", 8*3600))
	login := func(cloud string, o Options) Login {
		d, err := New(cloud, o)
		if err != nil {
			t.Fatal(cloud, err)
		}
		return d.Login(at)
	}
	for _, row := range []struct {
		name string
		got  Login
		want Login
	}{
		{"aliyun", login("aliyun", Options{Product: "a1B2c3D4e5F", Device: "meter1", Secret: "0123456789abcdef0123456789abcdef"}), Login{
			"a1B2c3D4e5F.meter1|securemode=2,signmethod=hmacsha256,timestamp=2524608000000|", "meter1&a1B2c3D4e5F",
			"cc4cfa48bc8c79cf741313a0c0dc435023d87c079f1b3b1d726309062ce6f7a9", 300 * time.Second,
		}},
		{"huawei", login("huawei", Options{Device: "65af_site", Secret: "12345678"}), Login{
			"65af_site_0_0_2025041401", "65af_site", "c75150e6cb841417396819e4d2ee4358a416344a03a083e3a8567074ddec820a", 120 * time.Second,
		}},
		{"thingsboard", login("thingsboard", Options{Secret: "TOKEN"}), Login{"dlt645-d95z139clc00", "TOKEN", "", 60 * time.Second}},
		{"json", login("json", Options{Device: "site", Secret: "pw"}), Login{"site", "site", "pw", 60 * time.Second}},
	} {
		if row.got != row.want {
			t.Errorf("%s: %+v\nwant %+v", row.name, row.got, row.want)
		}
	}
	jet, err := New("jetlinks", Options{Product: "p", Device: "d", Secret: "test:test"})
	if err != nil {
		t.Fatal(err)
	}
	if got := jet.Login(time.UnixMilli(1601196762389)); got.Username != "test|1601196762389" || got.Password != "5e68b124c4fbae101370750da7966198" {
		t.Errorf("jetlinks: %+v", got)
	}
	key := &tencent{Options: Options{SignMethod: "hmacsha256"}, hash: hashes["hmacsha256"], key: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
	if got, want := key.sign("ABCDEFGHIJmeter1;12010126;abcde;4102444800"), "e56a116725d3658de9eb49cf47e94423bb7666bf024c887928e1a34084e76c30;hmacsha256"; got != want {
		t.Errorf("tencent: %s, want %s", got, want)
	}
	one := login("onenet", Options{Product: "123123", Device: "mydev", Secret: "KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw="})
	// The host's clock was before any build, so the token is that of the year 2100.
	if want := "version=2018-10-31&res=products%2F123123%2Fdevices%2Fmydev&et=4102444800&method=sha256&sign=MfzyY%2BzPaHsGy4DB41193ClpnL%2Bto068O4j99EEisaE%3D"; one.Password != want || one.Username != "123123" || one.ClientID != "mydev" {
		t.Errorf("onenet: %+v\nwant the password %s", one, want)
	}
}

// TestIncompleteIdentity looks for a sentence that names the variable.
func TestIncompleteIdentity(t *testing.T) {
	for cloud, want := range map[string]string{
		"json": "DLT645_UPLINK_DEVICE", "thingsboard": "DLT645_UPLINK_SECRET", "jetlinks": "DLT645_UPLINK_PRODUCT",
		"aliyun": "DLT645_UPLINK_SECRET", "huawei": "DLT645_UPLINK_DEVICE", "tencent": "DLT645_UPLINK_PRODUCT", "onenet": "DLT645_UPLINK_PRODUCT", "azure": "there are aliyun",
	} {
		if _, err := New(cloud, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a mention of %s", cloud, err, want)
		}
	}
	if _, err := New("tencent", Options{Product: "p", Device: "d", Secret: "no base64!"}); err == nil || !strings.Contains(err.Error(), "Base64") || strings.Contains(err.Error(), "no base64!") {
		t.Errorf("a secret that is no Base64: %v", err)
	}
}

// TestThingsBoardHasAClientID holds that no CONNECT goes without a client id, which brokers of MQTT 3.1.1 may refuse.
func TestThingsBoardHasAClientID(t *testing.T) {
	now := time.Date(2026, 11, 20, 18, 0, 10, 0, time.UTC)
	for configured, want := range map[string]string{"": "dlt645-" + strconv.FormatInt(now.UnixNano(), 36), "mine": "mine"} {
		d, err := New("thingsboard", Options{Secret: "TOKEN", ClientID: configured})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Login(now).ClientID; got != want {
			t.Errorf("with the client id %q it logs in as %q, want %q", configured, got, want)
		}
	}
}

// TestOptionsThatCannotBe looks for a sentence that names what is wrong, where a cloud would refuse each login, or end
// the connection at each message.
func TestOptionsThatCannotBe(t *testing.T) {
	with := func(cloud string, change func(*Options)) Options {
		o := identities[cloud]
		change(&o)
		return o
	}
	two := []Device{{Meter: "main", Product: "p", Name: "d1"}, {Meter: "shop", Product: "q", Name: "d1"}}
	for _, row := range []struct {
		name, cloud string
		options     Options
		want        string
	}{
		{"OneNET's word", "aliyun", with("aliyun", func(o *Options) { o.SignMethod = "sha256" }), "DLT645_UPLINK_SIGN_METHOD"},
		{"OneNET's word", "tencent", with("tencent", func(o *Options) { o.SignMethod = "sha1" }), "DLT645_UPLINK_SIGN_METHOD"},
		{"Alibaba's word", "onenet", with("onenet", func(o *Options) { o.SignMethod = "hmacsha256" }), "it has sha256, sha1, md5"},
		{"prefix", "aliyun", with("aliyun", func(o *Options) { o.Prefix = "/a/+" }), "DLT645_UPLINK_TOPIC_PREFIX"},
		{"form of time", "json", with("json", func(o *Options) { o.TimeForm = "iso" }), "DLT645_UPLINK_TIME"},
		{"topic", "json", with("json", func(o *Options) { o.Topic = "up/#" }), "DLT645_UPLINK_TOPIC"},
		{"time twice", "json", with("json", func(o *Options) { o.Constants = []Member{Text("time", "now")} }), "DLT645_UPLINK_CONSTANTS: time would stand twice"},
		{"a constant twice", "json", with("json", func(o *Options) { o.Constants = []Member{Text("sn", "1"), Text("sn", "2")} }), "sn would stand twice"},
		{"an event's member", "json", with("json", func(o *Options) { o.Constants = []Member{Text("event_type", "1")} }), "event_type would stand twice"},
		{"the state", "json", with("json", func(o *Options) { o.Devices, o.Constants = two[:1], []Member{Text("dev_state", "1")} }), "dev_state would stand twice"},
		{"gateway", "json", with("json", func(o *Options) { o.Device = "site+7" }), "DLT645_UPLINK_DEVICE"},
		{"gateway", "aliyun", with("aliyun", func(o *Options) { o.Device = "site/7" }), "DLT645_UPLINK_DEVICE"},
		{"product", "onenet", with("onenet", func(o *Options) { o.Product = "#" }), "DLT645_UPLINK_PRODUCT"},
		{"device", "jetlinks", with("jetlinks", func(o *Options) { o.Devices = []Device{{Meter: "main", Name: "a\nb"}} }), "the devices file"},
		{"one device for two meters", "json", with("json", func(o *Options) { o.Devices = two }), "names the device d1 twice"},
		{"one device for two meters", "thingsboard", with("thingsboard", func(o *Options) { o.Devices = two }), "names the device d1 twice"},
	} {
		if _, err := New(row.cloud, row.options); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s, %s: %v, want %s", row.cloud, row.name, err, row.want)
		}
	}
	for cloud, o := range map[string]Options{
		"json": with("json", func(o *Options) {
			o.Device, o.TimeForm, o.Constants = "plant/7", "none", []Member{Text("time", "none")}
		}),
		"aliyun":      with("aliyun", func(o *Options) { o.Prefix = "/iot/" }),
		"tencent":     with("tencent", func(o *Options) { o.Devices = two }),
		"thingsboard": with("thingsboard", func(o *Options) { o.Devices = []Device{{Meter: "main", Name: "Meter #1"}} }),
	} {
		if _, err := New(cloud, o); err != nil {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}

// TestKeysBesideConstants keeps a value from standing under the name of another member.
func TestKeysBesideConstants(t *testing.T) {
	o := identities["json"]
	o.Constants = []Member{Text("sn", "1")}
	d, err := New("json", o)
	if err != nil {
		t.Fatal(err)
	}
	for key, fits := range map[string]bool{"time": false, "sn": false, "event_type": true, "ua": true} {
		if err := d.Traits().Identifier.Check(key); (err == nil) != fits {
			t.Errorf("%s: %v", key, err)
		}
	}
}
