package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed page
var built embed.FS

// A file is part of the page. Only its compressed form is kept in memory.
type file struct {
	mediaType string
	size      int // uncompressed
	zipped    []byte
	tag       string
}

func newFile(mediaType string, content []byte) *file {
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is one that there is
	_, _ = z.Write(content)
	_ = z.Close()
	sum := sha256.Sum256(content)
	return &file{mediaType: mediaType, size: len(content), zipped: bytes.Clone(zipped.Bytes()), tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// zippedFile returns a file of what is compressed already.
func zippedFile(mediaType string, zipped []byte) *file {
	sum := sha256.Sum256(zipped)
	size := binary.LittleEndian.Uint32(zipped[len(zipped)-4:]) // RFC 1952, 2.3.1
	return &file{mediaType: mediaType, size: int(size), zipped: zipped, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// readPage returns the files of the page by their paths. The page learns the root of this bridge's
// topics, its version, and whether an account is handed to it, from three places in its markup.
func readPage(root, version string, account bool) (map[string]*file, error) {
	files := map[string]*file{}
	entries, err := fs.ReadDir(built, "page")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		content, err := built.ReadFile("page/" + name)
		if err != nil {
			return nil, err
		}
		name, zipped := strings.CutSuffix(name, ".gz")
		mediaType := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // whatever the system's own table says
		case ".js":
			mediaType = "text/javascript; charset=utf-8"
		case ".css":
			mediaType = "text/css; charset=utf-8"
		case ".svg":
			mediaType = "image/svg+xml"
		case ".txt":
			mediaType = "text/plain; charset=utf-8"
		}
		if name == "index.html" {
			given := ""
			if account {
				given = "given"
			}
			content = []byte(strings.NewReplacer("{{account}}", given, "{{root}}", html.EscapeString(root), "{{version}}", html.EscapeString(version)).Replace(string(content)))
			files["/{$}"] = newFile("text/html; charset=utf-8", content)
			continue
		}
		if zipped {
			files["/"+name] = zippedFile(mediaType, content)
			continue
		}
		files["/"+name] = newFile(mediaType, content)
	}
	if files["/{$}"] == nil {
		return nil, fmt.Errorf("page has no index.html: %w", fs.ErrNotExist)
	}
	return files, nil
}

// takesGzip reports whether a browser understands what is compressed: RFC 9110, 12.5.3.
func takesGzip(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			weight, weighted := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return !weighted || err == nil && q > 0
		}
	}
	return false
}

// ServeHTTP sends the file, compressed to those who understand that. Browsers ask each time whether it
// has changed, for another version of the binary has another page.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	size, content := f.size, io.Reader(nil)
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		size, content = len(f.zipped), bytes.NewReader(f.zipped)
	} else if z, err := gzip.NewReader(bytes.NewReader(f.zipped)); err == nil {
		content = z
	}
	h.Set("Content-Length", strconv.Itoa(size))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, content)
	}
}
