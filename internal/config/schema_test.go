package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

// everything has every kind of mapping that a file can have.
const everything = `
certificates: {a: {domains: a.example.com, issuer: letsencrypt, eab: {kid: a}, fallback: [{issuer: zerossl}]}}
hooks: {a: {shell: "true"}}
security_groups: {a: {ingress: [{ports: 80, from: "::1"}]}}
target_groups: {a: {stickiness: {type: off}, health_check: {}}}
dns: {listen: ":53"}
hosted_zones: {example.com: {records: [{type: TXT, values: a}]}}
load_balancers:
  a:
    attributes: {}
    access_log: {file: stdout}
    listeners:
      - {port: 80, redirect: {status: 302}, rules: [{path: /, fixed_response: {status: 200}}, {path: /, forward: [{group: a}]}]}
`

func schemaObject(t testing.TB) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(config.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheSchemaKnowsTheKeysThatParseKnows(t *testing.T) {
	schema := schemaObject(t)
	definitions := schema["definitions"].(map[string]any)
	shapes, err := config.Shapes([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"the file": true}
	for shape, keys := range shapes {
		name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(shape, "a "), "an "), " ", "_")
		object := schema
		if shape != "the file" {
			var ok bool
			if object, ok = definitions[name].(map[string]any); !ok {
				t.Errorf("the schema does not define %s", name)
				continue
			}
			known[name] = true
		}
		properties := mapping(object)
		if properties == nil {
			t.Errorf("%s has no properties", name)
			continue
		}
		if properties["additionalProperties"] != false {
			t.Errorf("%s lets unknown keys pass", name)
		}
		got := slices.Sorted(maps.Keys(properties["properties"].(map[string]any)))
		slices.Sort(keys)
		if !slices.Equal(got, keys) {
			t.Errorf("%s has the keys %v in the schema, and for Parse %v", name, got, keys)
		}
	}
	for name, definition := range definitions {
		if mapping(definition.(map[string]any)) != nil && !known[name] {
			t.Errorf("the schema defines %s, which Parse does not know", name)
		}
	}
}

// mapping returns the part of a definition that describes a mapping with known
// keys.
func mapping(definition map[string]any) map[string]any {
	if definition["properties"] != nil {
		return definition
	}
	choices, _ := definition["anyOf"].([]any)
	for _, choice := range choices {
		if m := choice.(map[string]any); m["properties"] != nil {
			return m
		}
	}
	return nil
}

func TestTheSchemaListsThePoliciesAndWords(t *testing.T) {
	definitions := schemaObject(t)["definitions"].(map[string]any)
	for path, want := range map[string][]string{
		"listener.ssl_policy":               albion.SSLPolicies(),
		"listener.protocol":                 {"HTTP", "HTTPS"},
		"target_group.protocol":             {"HTTP", "HTTPS"},
		"target_group.protocol_version":     {string(albion.HTTP1), string(albion.HTTP2), string(albion.GRPC)},
		"target_group.algorithm":            {string(albion.RoundRobin), string(albion.LeastOutstandingRequests)},
		"stickiness.type":                   {"off", string(albion.LBCookie), string(albion.SockJS)},
		"attributes.desync_mitigation_mode": {string(albion.DesyncMonitor), string(albion.DesyncDefensive), string(albion.DesyncStrictest)},
		"attributes.xff_header_processing":  {string(albion.XFFAppend), string(albion.XFFPreserve), string(albion.XFFRemove)},
		"record_set.failover":               {string(albion.Primary), string(albion.Secondary)},
	} {
		name, key, _ := strings.Cut(path, ".")
		property := mapping(definitions[name].(map[string]any))["properties"].(map[string]any)[key].(map[string]any)
		if got := fmt.Sprint(property["enum"]); got != fmt.Sprint(want) {
			t.Errorf("%s: the schema has %s, the model %s", path, got, want)
		}
	}
}

// What the schema refuses is refused, and what is taken is taken by the schema.
func TestTheSchemaAgreesWithParse(t *testing.T) {
	schema := schemaObject(t)
	for _, data := range []string{
		everything, small, "",
		"load_balancers: {w: {access_log: stdout, addresses: \"::1\", listeners: [{port: 80, redirect: https}]}}",
	} {
		if problem := against(t, schema, data); problem != "" {
			t.Errorf("the schema refuses what Parse takes: %s\n%s", problem, data)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		data := drawFile(t, "file", newWorld())
		if problem := against(t, schema, data); problem != "" {
			t.Fatalf("the schema refuses what Parse takes: %s\n%s", problem, data)
		}
	})
	// Each of the refused files has many problems; the schema sees some in each,
	// but for those that only a reader of the whole file, or of YAML, can see.
	beyond := []string{"twice", "targets", "no-anchor", "tag", "merge", "indent", "tab", "quote", "colon", "unclosed"}
	files, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(archive.Files); i += 2 {
			name := strings.TrimSuffix(archive.Files[i].Name, ".yaml")
			if !slices.Contains(beyond, name) && against(t, schema, string(archive.Files[i].Data)) == "" {
				t.Errorf("the schema takes %s", name)
			}
		}
	}
}

// The bounds of whole numbers in the schema are those of Parse and Validate.
func TestTheBoundsOfTheSchemaAreTrue(t *testing.T) {
	definitions := schemaObject(t)["definitions"].(map[string]any)
	for path, format := range map[string]string{
		"target_group.port":                "target_groups: {a: {port: %d}}",
		"health_check.healthy_threshold":   "target_groups: {a: {health_check: {healthy_threshold: %d}}}",
		"health_check.unhealthy_threshold": "target_groups: {a: {health_check: {unhealthy_threshold: %d}}}",
		"listener.port":                    "load_balancers: {a: {listeners: [{port: %d, fixed_response: {status: 200}}]}}",
		"rule.priority":                    "load_balancers: {a: {listeners: [{port: 1, fixed_response: {status: 200}, rules: [{priority: %d, path: /, fixed_response: {status: 200}}]}]}}",
		"weighted_target_group.weight":     "target_groups: {a: {}}\nload_balancers: {a: {listeners: [{port: 1, forward: [{group: a, weight: %d}]}]}}",
		"record_set.weight":                "hosted_zones: {example.com: {records: [{name: a, type: A, set_identifier: b, values: 192.0.2.1, weight: %d}]}}",
		"access_log.keep":                  "load_balancers: {a: {access_log: {file: a, keep: %d}}}",
	} {
		name, key, _ := strings.Cut(path, ".")
		property := mapping(definitions[name].(map[string]any))["properties"].(map[string]any)[key].(map[string]any)
		low, high := int(property["minimum"].(float64)), int(property["maximum"].(float64))
		for value, valid := range map[int]bool{low - 1: false, low: true, high: true, high + 1: false} {
			f, err := config.Parse("albion.yaml", fmt.Appendf(nil, format, value))
			if err == nil {
				_, _, err = tryApply(f, nil)
			}
			if (err == nil) != valid {
				t.Errorf("%s: %d: %v", path, value, err)
			}
		}
	}
}

func TestTheExampleFollowsTheSchema(t *testing.T) {
	data, err := os.ReadFile("testdata/albion.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if problem := against(t, schemaObject(t), string(data)); problem != "" {
		t.Error(problem)
	}
}

// against says what a schema finds wrong with a file, or "".
func against(t interface{ Fatal(...any) }, schema map[string]any, data string) string {
	v, err := config.Generic([]byte(data))
	if err != nil {
		return err.Error()
	}
	plain, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(plain, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return checker{schema}.check("", schema, v)
}

// checker is as much of JSON Schema as the schema uses.
type checker struct{ root map[string]any }

func (c checker) check(at string, s map[string]any, v any) string {
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		return c.check(at, c.root["definitions"].(map[string]any)[name].(map[string]any), v)
	}
	if types := list(s["type"]); types != nil && !slices.ContainsFunc(types, func(t any) bool { return hasType(v, t.(string)) }) {
		return fmt.Sprintf("%s: %v is not %v", at, v, types)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Sprintf("%s: %v is none of %v", at, v, enum)
	}
	if p := c.checkChoices(at, s, v); p != "" {
		return p
	}
	switch v := v.(type) {
	case float64:
		low, hasLow := s["minimum"].(float64)
		high, hasHigh := s["maximum"].(float64)
		if hasLow && v < low || hasHigh && v > high {
			return fmt.Sprintf("%s: %v is out of range", at, v)
		}
	case string:
		return c.checkString(at, s, v)
	case []any:
		return c.checkList(at, s, v)
	case map[string]any:
		return c.checkMapping(at, s, v)
	}
	return ""
}

func list(v any) []any {
	if v == nil {
		return nil
	}
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	}
	return false
}

func (c checker) checkChoices(at string, s map[string]any, v any) string {
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		choices, ok := s[word].([]any)
		if !ok {
			continue
		}
		var problems []string
		for _, choice := range choices {
			if p := c.check(at, choice.(map[string]any), v); p != "" {
				problems = append(problems, p)
			}
		}
		fit := len(choices) - len(problems)
		if word == "allOf" && fit != len(choices) || word == "anyOf" && fit == 0 || word == "oneOf" && fit != 1 {
			return fmt.Sprintf("%s: %s: %d fit: %s", at, word, fit, strings.Join(problems, "; "))
		}
	}
	if not, ok := s["not"].(map[string]any); ok && c.check(at, not, v) == "" {
		return at + ": not allowed together"
	}
	return ""
}

func (c checker) checkString(at string, s map[string]any, v string) string {
	if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
		return fmt.Sprintf("%s: %q does not look like %s", at, v, pattern)
	}
	n := float64(utf8.RuneCountInString(v))
	least, _ := s["minLength"].(float64)
	most, bounded := s["maxLength"].(float64)
	if n < least || bounded && n > most {
		return fmt.Sprintf("%s: %q has a wrong length", at, v)
	}
	return ""
}

func (c checker) checkList(at string, s map[string]any, v []any) string {
	least, _ := s["minItems"].(float64)
	most, bounded := s["maxItems"].(float64)
	if float64(len(v)) < least || bounded && float64(len(v)) > most {
		return fmt.Sprintf("%s: %d items", at, len(v))
	}
	items, _ := s["items"].(map[string]any)
	for i, item := range v {
		if p := c.check(fmt.Sprintf("%s[%d]", at, i), items, item); items != nil && p != "" {
			return p
		}
	}
	return ""
}

func (c checker) checkMapping(at string, s map[string]any, v map[string]any) string {
	for _, key := range list(s["required"]) {
		if _, ok := v[key.(string)]; !ok {
			return fmt.Sprintf("%s: %s is missing", at, key)
		}
	}
	if least, _ := s["minProperties"].(float64); float64(len(v)) < least {
		return at + ": too few keys"
	}
	properties, _ := s["properties"].(map[string]any)
	for key, value := range v {
		inner, ok := properties[key].(map[string]any)
		if !ok {
			switch rest := s["additionalProperties"].(type) {
			case bool:
				return fmt.Sprintf("%s: %s is not known", at, key)
			case map[string]any:
				inner = rest
			default:
				continue
			}
		}
		if p := c.check(at+"."+key, inner, value); p != "" {
			return p
		}
	}
	return ""
}
