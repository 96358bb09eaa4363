package chinese

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed help.txt
var helpSource string

// ofHelp is what help prints, by its English text.
var ofHelp = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for entry := range strings.SplitSeq(helpSource, "\n===\n") {
		if english, chinese, ok := strings.Cut(entry, "\n---\n"); ok {
			all[english] = chinese
		}
	}
	return all
})

// Help returns what help prints in place of a text, of one line or several; the text itself if nobody has translated it.
func Help(text string) string {
	if chinese, ok := ofHelp()[text]; ok {
		return chinese
	}
	return text
}

// HelpTexts returns all English texts that [Help] knows.
func HelpTexts() (texts []string) {
	for text := range ofHelp() {
		texts = append(texts, text)
	}
	return texts
}
