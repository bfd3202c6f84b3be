package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocateFindsTheInstalledLibrary(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	below := filepath.Join(root, "services", "internal", "engine")
	lib := filepath.Join(root, "deploy", "engine", "node_modules", "@chdb", packages()[0], "libchdb.so")
	for _, dir := range []string{below, filepath.Dir(lib)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(lib, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, roots := range map[string][]string{
		"in the folder itself":            {root},
		"from a folder below":             {below},
		"from the second place to look":   {t.TempDir(), below},
		"from the first of several found": {below, root},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := locateFrom(roots); got != lib || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, lib)
			}
		})
	}
	if got, err := Locate(lib); got != lib || err != nil {
		t.Errorf("explicit path: got %q, %v; want %q", got, err, lib)
	}
}

func TestLocateSaysHowToInstall(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for name, locate := range map[string]func() (string, error){
		"an explicit path that does not exist":     func() (string, error) { return Locate(filepath.Join(empty, "libchdb.so")) },
		"an explicit path that is a folder":        func() (string, error) { return Locate(empty) },
		"nothing installed anywhere on the way up": func() (string, error) { return locateFrom([]string{empty}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := locate()
			if err == nil {
				t.Fatalf("found %q", path)
			}
			for _, part := range []string{"make setup", "DRAWDOWN_ENGINE_LIB"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
