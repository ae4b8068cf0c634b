package config_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/config"
)

func manual(t *testing.T) string { return document(t, "docs/configuration.md") }

func document(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

func TestTheExamplesOfTheDocumentsAreValid(t *testing.T) {
	for name, least := range map[string]int{"docs/configuration.md": 5, "docs/getting-started.md": 1, "docs/dns.md": 1, "docs/grpc.md": 1, "docs/certificates.md": 1, "README.md": 1} {
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(document(t, name), -1)
		if len(blocks) < least {
			t.Errorf("%s has %d examples", name, len(blocks))
		}
		checkExamples(t, blocks)
	}
}

func checkExamples(t *testing.T, blocks [][]string) {
	t.Helper()
	for _, block := range blocks {
		f, err := config.Parse("/etc/albion/albion.yaml", []byte(block[1]))
		if err != nil {
			t.Errorf("%v\n%s", err, block[1])
			continue
		}
		w := newWorld()
		for _, name := range config.Files(f) {
			w.files[name] = "pem"
		}
		if _, _, err := w.run(f, nil); err != nil {
			t.Errorf("%v\n%s", err, block[1])
		}
		if problem := against(t, schemaObject(t), block[1]); problem != "" {
			t.Errorf("%s\n%s", problem, block[1])
		}
	}
}

// Every key has a row in the section of its mapping, with the default and the
// range that the schema gives.
func TestTheManualIsComplete(t *testing.T) {
	sections := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^##+ `).Split(manual(t), -1)[1:] {
		title, body, _ := strings.Cut(section, "\n")
		sections[strings.ReplaceAll(strings.ToLower(title), " ", "_")] = body
	}
	definitions := schemaObject(t)["definitions"].(map[string]any)
	for name, definition := range definitions {
		m := mapping(definition.(map[string]any))
		if m == nil {
			continue
		}
		properties := m["properties"].(map[string]any)
		rows := 0
		for _, line := range strings.Split(sections[name], "\n") {
			if strings.HasPrefix(line, "| `") {
				rows++
			}
		}
		if rows != len(properties) {
			t.Errorf("%s: %d rows for %d keys", name, rows, len(properties))
		}
		for key, property := range properties {
			row := regexp.MustCompile("(?m)^\\| `" + key + "` \\|(.*)\\|(.*)\\|.*\\|$").FindStringSubmatch(sections[name])
			if row == nil {
				t.Errorf("%s: no row for %s", name, key)
				continue
			}
			p := property.(map[string]any)
			if value, ok := p["default"]; ok && !strings.Contains(row[2], fmt.Sprintf("`%v`", value)) {
				t.Errorf("%s.%s: the default is %v, the manual says%s", name, key, value, row[2])
			}
			low, ok := p["minimum"]
			if ok && !strings.Contains(row[1], fmt.Sprintf("%v to %v", low, p["maximum"])) {
				t.Errorf("%s.%s: %v to %v, the manual says%s", name, key, low, p["maximum"], row[1])
			}
			words, _ := p["enum"].([]any)
			for _, word := range words {
				if key != "ssl_policy" && word != "" && !strings.Contains(row[1], fmt.Sprint(word)) {
					t.Errorf("%s.%s: the manual does not say %v", name, key, word)
				}
				if key == "ssl_policy" && !strings.Contains(sections[name], fmt.Sprintf("`%v`", word)) {
					t.Errorf("the manual does not list %v", word)
				}
			}
		}
	}
}
