package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated is set in the process that runs in a namespace of its own.
const isolated = "DRAWDOWN_CHAOS_ISOLATED"

// Isolate runs this program again in a mount namespace of its own and exits
// with its status. It returns in that process, and where the system does not
// allow it. Call it first thing in main or TestMain.
func Isolate() {
	if os.Getenv(isolated) != "" {
		return
	}
	for _, flags := range []uintptr{syscall.CLONE_NEWNS, syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER} {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Args[0] = os.Args[0]
		cmd.Env = append(os.Environ(), isolated+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if status, started := run(cmd); started {
			os.Exit(status)
		}
	}
}

// run runs cmd, passes signals on to it, and returns its exit status.
func run(cmd *exec.Cmd) (status int, started bool) {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), true
	}
	return 1, true
}

// Mount mounts a file system of at most size bytes under dir: an image with
// ext4 if image is asked for and possible, else one in memory. Its error is
// ErrNoMount where that is not permitted.
func Mount(dir, name string, size int64, image bool) (*Disk, error) {
	if os.Getenv(isolated) == "" {
		return nil, fmt.Errorf("%w: no namespace of its own", ErrNoMount)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMount, err)
	}
	d := &Disk{Path: filepath.Join(dir, name), size: size}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return nil, fmt.Errorf("create a mount point: %w", err)
	}
	if image && mountImage(d, filepath.Join(dir, name+".img"), size) == nil {
		d.Kind = "ext4 image"
		return d, nil
	}
	d.Kind = inMemory
	if err := unix.Mount("tmpfs", d.Path, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMount, err)
	}
	return d, nil
}

func mountImage(d *Disk, path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	if err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", path).Run(); err != nil {
		return err
	}
	return exec.Command("mount", "-o", "loop", path, d.Path).Run()
}

// shrink leaves no room but what is used. While it looks, more may be used.
func (d *Disk) shrink() error {
	var err error
	for range 100 {
		var stat unix.Statfs_t
		if err = unix.Statfs(d.Path, &stat); err != nil {
			break
		}
		used := int64(stat.Blocks-stat.Bfree) * stat.Bsize
		if err = d.resize(max(used, stat.Bsize)); err == nil { // 0 would mean no limit
			return nil
		}
	}
	return fmt.Errorf("fill the disk: %w", err)
}

func (d *Disk) resize(size int64) error {
	if err := unix.Mount("", d.Path, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("resize %s: %w", d.Path, err)
	}
	return nil
}

// Close unmounts the file system.
func (d *Disk) Close() error {
	if err := unix.Unmount(d.Path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", d.Path, err)
	}
	return nil
}

// fill takes room in smaller and smaller pieces until not a byte is left.
func fill(file *os.File) error {
	end, err := file.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	for piece := int64(1 << 40); piece >= 4096; {
		switch err := unix.Fallocate(int(file.Fd()), 0, end, piece); {
		case err == nil:
			end += piece
		case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EFBIG):
			piece /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

// Refuse makes a process's writes beyond what its files hold fail, which is
// what is left where nothing can be mounted; permit ends it.
func Refuse(pid int) (permit func() error, err error) {
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: unix.RLIM_INFINITY}, &was); err != nil {
		return nil, fmt.Errorf("limit the files of process %d: %w", pid, err)
	}
	return func() error { return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &was, nil) }, nil
}
