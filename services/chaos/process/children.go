package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// SignalChildren sends s to the processes that parent started and that still
// run, as the system knows them at this moment. Without /proc it finds none.
func SignalChildren(parent int, s syscall.Signal) {
	if parent == 0 {
		return
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …, where the name may hold anything.
		behind := string(text[strings.LastIndexByte(string(text), ')')+1:])
		fields := strings.Fields(behind)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, s) // it may have ended
		}
	}
}
