package room

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths are in characters (Unicode code points); a page counts the same way.
const (
	maxName = 24
	maxRoom = 32
	maxText = 2000
	minKey  = 16
	maxKey  = 64
	maxRef  = 64
)

// cleanName returns the name as it is shown: one space between words, nothing
// but letters, digits, spaces and - _ . ' in it, at least one letter or digit.
func cleanName(s string) (string, bool) {
	s = strings.Join(strings.Fields(s), " ")
	if !wordy(s, maxName, " -_.'") {
		return "", false
	}
	return s, true
}

// cleanRoom returns the name of a room as it is compared: lower case, words
// joined by hyphens.
func cleanRoom(s string) (string, bool) {
	s = fold(strings.Join(strings.Fields(s), "-"))
	if !wordy(s, maxRoom, "-_.") {
		return "", false
	}
	return s, true
}

// wordy reports whether s has 1 to limit characters, only letters, digits and
// those of extra, and at least one letter or digit. Marks may follow a letter,
// two at most: more than that writes over the lines above and below.
func wordy(s string, limit int, extra string) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > limit {
		return false
	}
	marks, word := 2, false
	for _, r := range s {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			marks, word = 0, true
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r):
			if marks++; marks > 2 {
				return false
			}
		case strings.ContainsRune(extra, r):
			marks = 2
		default:
			return false
		}
	}
	return word
}

// fold maps all spellings of a name that differ only in case to one.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

// cleanText returns a message as it is stored: without control characters
// other than line feed and tab, and without blank lines around it. It is text,
// never markup: whoever shows it must not read it as HTML.
func cleanText(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			return r
		}
		return -1
	}, s)
	s = strings.TrimSpace(s)
	if s == "" || utf8.RuneCountInString(s) > maxText {
		return "", false
	}
	return s, true
}

// token reports whether s is shortest to longest characters of A-Z a-z 0-9 - _.
func token(s string, shortest, longest int) bool {
	if len(s) < shortest || len(s) > longest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// memberID is who somebody is to others: it follows from their key and does
// not give it away.
func memberID(key string) string {
	sum := sha256.Sum256([]byte("albion chat member\x00" + key))
	return hex.EncodeToString(sum[:10])
}
