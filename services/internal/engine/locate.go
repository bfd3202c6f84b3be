package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Locate finds the engine's library: explicit if given, else the one that
// deploy/engine installs, looked for from the working directory and from the
// binary's folder upwards. The error says in one sentence what to do.
func Locate(explicit string) (string, error) {
	if explicit != "" {
		if !isFile(explicit) {
			return "", missing(explicit)
		}
		return explicit, nil
	}
	var roots []string
	if dir, err := os.Getwd(); err == nil {
		roots = append(roots, dir)
	}
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		roots = append(roots, filepath.Dir(self))
	}
	return locateFrom(roots)
}

func locateFrom(roots []string) (string, error) {
	installed := filepath.Join("deploy", "engine", "node_modules", "@chdb")
	for _, root := range roots {
		for dir := root; ; dir = filepath.Dir(dir) {
			for _, name := range packages() {
				if lib := filepath.Join(dir, installed, name, "libchdb.so"); isFile(lib) {
					return lib, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("the ClickHouse engine (%s/libchdb.so) is not installed; run `make setup`, or name it with DRAWDOWN_ENGINE_LIB",
		packages()[0])
}

// packages names the npm packages that may carry the library for this machine.
func packages() []string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64" // npm's word
	}
	name := "lib-" + runtime.GOOS + "-" + arch
	if runtime.GOOS == "linux" {
		return []string{name + "-gnu", name}
	}
	return []string{name}
}

func missing(lib string) error {
	return fmt.Errorf("the ClickHouse engine library %s does not exist; run `make setup`, or correct DRAWDOWN_ENGINE_LIB", lib)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
