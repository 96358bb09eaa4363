// Package console is the web page inside the binary, and the way from a browser to the broker.
//
// The page is an MQTT client of its own. What somebody may see and do with it is what the broker's
// access list lets his account see and do: this package carries bytes between a WebSocket and the
// broker, understands nothing of them, and gives the page no rights of the bridge's, neither its
// password nor its client certificate.
//
//	GET /                the page, and the files that it is made of
//	GET /items.json      the dictionary of data items
//	GET /decode?hex=…    frames, explained; &protocol=modbus for those that do not tell
//	GET /account.json    the account that is handed to the page, if one is (see [Config].Account)
//	GET /mqtt            WebSocket: MQTT, byte for byte
//
// Everything is answered only to who asks for it by a name that no stranger can give this machine
// (see [Config].Hosts), and the WebSocket only to a page of the same origin, or any page that
// a person visits could reach a broker in his network through his browser.
//
// All paths in the page are relative, so that it also works under a path of somebody else's, such as that which Home Assistant
// gives to what it shows in a frame.
//
// The page itself is built from the sources in web, by make console; the result is in page.
package console
