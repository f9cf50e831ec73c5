package report

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of report.json. Its descriptions
// are the short definitions of every key.
func Schema() []byte { return append([]byte(nil), schema...) }
