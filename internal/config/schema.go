package config

import _ "embed" // the schema is a file so that it can be published as it is

//go:embed albion.schema.json
var schema string

// Schema is the JSON Schema (draft 7) of albion.yaml, for editors. It says less
// than Parse does: names that refer to nothing and quantities out of range are
// for Apply and for albion.Validate to find.
func Schema() []byte { return []byte(schema) }
