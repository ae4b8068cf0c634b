package config

import "github.com/goccy/go-yaml"

// Shapes parses a file and returns the keys of every kind of mapping in it.
func Shapes(data []byte) (map[string][]string, error) {
	shapes := map[string][]string{}
	_, err := parse("albion.yaml", data, func(name string, keys []string) { shapes[name] = keys })
	return shapes, err
}

// Generic is a file as maps, lists and scalars.
func Generic(data []byte) (any, error) {
	f := &File{}
	doc, err := f.parseYAML(data)
	if err != nil || doc == nil {
		return nil, err
	}
	var v any
	err = yaml.NodeToValue(doc, &v)
	return v, err
}
