package dialect

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// hashes are the signature methods by the words that clouds have for them.
var hashes = map[string]func() hash.Hash{
	"hmacmd5": md5.New, "hmacsha1": sha1.New, "hmacsha256": sha256.New, "md5": md5.New, "sha1": sha1.New, "sha256": sha256.New,
}

// signMethods are the words that Alibaba and Tencent have, oneMethods those of OneNET. A cloud refuses those of
// another, since they stand in what it signs itself.
var (
	signMethods = []string{"hmacsha256", "hmacsha1", "hmacmd5"}
	oneMethods  = []string{"sha256", "sha1", "md5"}
)

// hashOf returns the hash of a signature method that is one of the words of a cloud.
func hashOf(method string, words []string) (func() hash.Hash, error) {
	if slices.Contains(words, method) {
		return hashes[method], nil
	}
	return nil, fmt.Errorf("DLT645_UPLINK_SIGN_METHOD: %q is no signature method of this cloud; it has %s", method, strings.Join(words, ", "))
}

// hmacOf returns the HMAC of a text.
func hmacOf(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// signSorted is Alibaba's signature: name and value of each parameter, sorted by name, joined.
func signSorted(h func() hash.Hash, secret string, parameters map[string]string) string {
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name)
		b.WriteString(parameters[name])
	}
	return hex.EncodeToString(hmacOf(h, []byte(secret), b.String()))
}
