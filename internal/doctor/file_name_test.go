package doctor

import "testing"

// A page chooses what its scripts are called.
func TestNamesOfScriptsAreNoCommandsToATerminal(t *testing.T) {
	for link, want := range map[string]string{
		"https://a.example/js/app.js":              "app.js",
		"https://a.example/x%1b%5b2J%0aok.js":      "x·[2J·ok.js",
		"https://a.example/":                       "the page",
		"https://a.example/%e2%80%aeevil%c2%9b.js": "·evil·.js",
	} {
		if got := fileName(address(t, link)); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}
