package sockjstest

import "testing"

// The protocol's definition has 68 cases.
func TestEveryCaseIsThereOnce(t *testing.T) {
	names := map[string]bool{}
	for _, c := range cases() {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
	}
	if len(names) != 68 {
		t.Errorf("%d cases; want 68", len(names))
	}
}
