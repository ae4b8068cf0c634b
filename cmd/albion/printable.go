package main

import (
	"strings"
	"unicode"
)

// printable is text from elsewhere without what disturbs a terminal: control
// characters, among them what begins a command to it (ECMA-48 §5.4), and those
// that turn the direction of writing (UAX #9).
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}
