package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The oldest Landlock that lets files move between folders, which the engine
// does with its parts (Linux 5.19).
const fenceABI = 2

const (
	fenceReadFile = unix.LANDLOCK_ACCESS_FS_READ_FILE
	fenceReadTree = fenceReadFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fenceDevice   = fenceReadFile | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	// Everything from ABI 2, which is every right below TRUNCATE.
	fenceAll = unix.LANDLOCK_ACCESS_FS_TRUNCATE - 1
)

// fenced says whether this kernel can fence the engine.
func fenced() bool {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0 && abi >= fenceABI
}

// fence keeps the calling thread, and all that the engine starts from it, away
// from every file but the engine's own and what a process reads about its
// machine. ClickHouse's function file() asks for no grant in this mode of the
// engine, so without the fence any of its users could read any file of ours.
func fence(dir, lib string) error {
	runtime.LockOSThread() // for good: this thread becomes the engine
	ruleset := unix.LandlockRulesetAttr{Handled_access_fs: fenceAll}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&ruleset)), unsafe.Sizeof(ruleset.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("create fence: %w", errno)
	}
	defer unix.Close(int(fd))
	rules := map[string]uint64{
		lib:                             fenceReadFile,
		filepath.Join(dir, dirSettings): fenceReadTree,
		filepath.Join(dir, dirLog):      fenceAll,
		filepath.Join(dir, dirData):     fenceAll,
		"/dev/null":                     fenceDevice,
		"/dev/random":                   fenceReadFile,
		"/dev/urandom":                  fenceReadFile,
		"/etc/hosts":                    fenceReadFile,
		"/etc/localtime":                fenceReadFile,
		"/proc/cpuinfo":                 fenceReadFile,
		"/proc/loadavg":                 fenceReadFile,
		"/proc/pressure":                fenceReadTree,
		"/proc/uptime":                  fenceReadFile,
		"/proc/meminfo":                 fenceReadFile,
		"/proc/self":                    fenceReadTree,
		"/proc/stat":                    fenceReadFile,
		"/proc/sys":                     fenceReadTree,
		"/sys/devices/system":           fenceReadTree,
		"/sys/fs/cgroup":                fenceReadTree,
		"/sys/kernel/mm":                fenceReadTree,
		"/usr/share/zoneinfo":           fenceReadTree,
	}
	for path, access := range rules {
		if err := allow(int(fd), path, access); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("let fence pass %s: %w", path, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("close fence: %w", errno)
	}
	return nil
}

// allow adds the rule that path, and all below it, may be used as access says.
func allow(ruleset int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset),
		unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// nameProcess sets the name under which tools list this process, which would
// otherwise be "exe".
func nameProcess() {
	_ = os.WriteFile("/proc/self/comm", []byte("drawdown-engine"), 0o600) // only a name
}
