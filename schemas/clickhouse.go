package schemas

import (
	"embed"
	"io/fs"
)

//go:embed clickhouse/*.sql
var clickHouseFiles embed.FS

// ClickHouse holds the ClickHouse migrations, NNN_*.sql in goose's format, at
// its root. They name no database: they apply to the session's own.
var ClickHouse = sub(clickHouseFiles, "clickhouse")

// sub is fs.Sub for a folder that is embedded and so exists.
func sub(files embed.FS, folder string) fs.FS {
	inner, err := fs.Sub(files, folder)
	if err != nil {
		panic(err)
	}
	return inner
}
