package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/strictjson"
	"dlt645-mqtt/protocol"
)

// The limits of a request.
const (
	maxPayload       = 64 << 10
	maxConfigPayload = 1 << 20 // also our Maximum Packet Size
	maxItems         = 64
	maxItemName      = 128
	maxID            = 512
	maxTTL           = 365 * 24 * time.Hour
)

// A body is the payload of a request: a JSON object taken apart, or plain text.
type body struct {
	members map[string]json.RawMessage // nil if the payload is plain text
	text    string
}

// parseBody takes a payload apart. What could be read before an error is in the body all the
// same, so that the error's reply can carry the id.
func parseBody(payload []byte) (body, error) {
	if !utf8.Valid(payload) {
		return body{}, problemf(CodeBadRequest, "the payload is not UTF-8 text")
	}
	if bytes.HasPrefix(payload, []byte("\uFEFF")) {
		return body{}, problemf(CodeBadRequest, "the payload begins with a byte order mark (EF BB BF); publish it without")
	}
	text := bytes.TrimSpace(payload)
	if len(text) == 0 || text[0] != '{' {
		return body{text: string(text)}, nil
	}
	b := body{members: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(text))
	_, err := d.Token() // the opening brace
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key := name.(string) // inside an object the decoder takes nothing else
		var value json.RawMessage
		if err = d.Decode(&value); err != nil {
			break
		}
		if _, twice := b.members[key]; twice {
			return b, problemf(CodeBadRequest, "the key %s stands in the body twice", quote(key))
		}
		if inside, twice := strictjson.TwiceKey(value, false); twice {
			return b, problemf(CodeBadRequest, "the key %s stands in an object of %s twice", quote(inside), quote(key))
		}
		b.members[key] = value
	}
	if err == nil {
		_, err = d.Token() // the closing brace
	}
	if err != nil {
		return b, problemf(CodeBadRequest, "the body begins with { but is not JSON: %v", jsonError(err))
	}
	if _, err = d.Token(); !errors.Is(err, io.EOF) {
		return b, problemf(CodeBadRequest, "something follows the JSON object of the body")
	}
	if strictjson.HasHalfCharacter(text) {
		return b, problemf(CodeBadRequest, `the body has half of a character: a \u escape from \ud800 to \udfff without the other half of its pair`)
	}
	return b, nil
}

// jsonError words the decoder's end-of-file errors for people.
func jsonError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

// decode removes a member and decodes it into v. It reports whether the member was there.
func (b *body) decode(key, want string, v any) (bool, error) {
	value, ok := b.members[key]
	if !ok {
		return false, nil
	}
	delete(b.members, key)
	if err := json.Unmarshal(value, v); err != nil || bytes.Equal(value, []byte("null")) {
		return true, problemf(CodeBadRequest, "%q must be %s", key, want)
	}
	return true, nil
}

// decodeID removes the id and returns it as it came, also where it is not the string it should be.
func (b *body) decodeID() (json.RawMessage, error) {
	id := b.members["id"]
	var text string
	_, err := b.decode("id", "a string", &text)
	if err == nil && len(text) > maxID {
		err = problemf(CodeBadRequest, `"id" has %d bytes; at most %d are allowed`, len(text), maxID)
	}
	return id, err
}

// common reads the keys that every request may have.
func (b *body) common(r *request) error {
	var ttl int64
	ok, err := b.decode("ttl_ms", "a whole number of milliseconds", &ttl)
	if err != nil {
		return err
	}
	if ok {
		if ttl <= 0 {
			return problemf(CodeBadRequest, `"ttl_ms" must be at least 1`)
		}
		r.bound(r.received.Add(time.Duration(min(ttl, maxTTL.Milliseconds())) * time.Millisecond))
	}
	expires, ok, err := b.decodeMoment("expires")
	if err != nil {
		return err
	}
	if ok {
		// So many seconds from receipt, whatever happens to the clock of this host meanwhile.
		r.bound(r.received.Add(min(max(expires.Sub(r.received), 0), maxTTL)))
	}
	_, err = b.decode("trace", "true or false", &r.trace)
	return err
}

// decodeMoment removes a member that is a moment. It reports whether the member was there.
func (b *body) decodeMoment(key string) (moment time.Time, ok bool, err error) {
	const want = "a moment as in RFC 3339, such as 2026-11-20T18:00:00+08:00"
	var text string
	if ok, err = b.decode(key, want, &text); !ok || err != nil {
		return moment, ok, err
	}
	if moment, err = protocol.ParseMoment(text); err != nil {
		return moment, ok, problemf(CodeBadRequest, "%q must be %s, not %s", key, want, quote(text))
	}
	return moment, ok, nil
}

// nothingLeft refuses the members that nobody has taken.
func (b *body) nothingLeft(r *request) error {
	if len(b.members) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(b.members))) // each time the same
	return problemf(CodeBadRequest, "%s is no key of a %s request", quote(first), r.verb)
}

// mostQuoted is how much of what a client sent is shown in messages and logs, in bytes.
const mostQuoted = 80

// quote shows a piece of what a client sent in a message, cut to a length that does not flood a log.
func quote(text string) string { return limit.Quote(text, mostQuoted) }

// splitItems reads the plain-text form of a read: item names by commas.
func splitItems(text string) []string {
	items := strings.Split(strings.NewReplacer("，", ",", "、", ",").Replace(text), ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}
