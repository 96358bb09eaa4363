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

// hashOf returns the hash of a signature method.
func hashOf(method string) (func() hash.Hash, error) {
	if h := hashes[method]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("%q is no signature method; take hmacsha256, hmacsha1 or hmacmd5", method)
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
