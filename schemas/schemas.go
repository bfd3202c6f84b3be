// Package schemas holds what others check Drawdown's data against: a JSON
// Schema of every event and document, and the ClickHouse migrations. It embeds
// the files and imports nothing of ours.
package schemas

import (
	"embed"
	"fmt"
)

// Base is what the $id of every JSON Schema begins with; the file's name
// follows.
const Base = "https://drawdown.example/schemas/"

// Files holds the JSON Schemas (draft 2020-12), <name>.v<n>.json at its root. A
// file that was released is never changed in what it refuses: the next number
// stands beside it.
//
//go:embed *.json
var Files embed.FS

// JSON returns the JSON Schema called name, such as "usage.v1".
func JSON(name string) ([]byte, error) {
	body, err := Files.ReadFile(name + ".json")
	if err != nil {
		return nil, fmt.Errorf("read JSON Schema %s: %w", name, err)
	}
	return body, nil
}
