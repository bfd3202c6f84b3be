package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	fileCredentials = "credentials.json"
	fileLock        = "lock"
	fileOutput      = "engine.out"
	dirSettings     = "settings"
	dirLog          = "log"
	dirData         = "data"
	fileLog         = dirLog + "/engine.log"
	fileHistory     = dirLog + "/history"
	fileErrorLog    = dirLog + "/engine.err.log"
	tailMax         = 2 << 10

	lockEvery = 50 * time.Millisecond
	lockMax   = orphanMax + 5*time.Second
)

// secret is a password that does not show itself when printed.
type secret string

func (secret) String() string   { return "redacted" }
func (secret) GoString() string { return "redacted" }

// credentials are the passwords of one data folder.
type credentials struct {
	Services secret `json:"drawdown"`
	Analyst  secret `json:"analyst"`
}

// loadCredentials reads the folder's passwords, creating them the first time.
func loadCredentials(dir string) (credentials, error) {
	path := filepath.Join(dir, fileCredentials)
	var c credentials
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c = credentials{Services: secret(rand.Text()), Analyst: secret(rand.Text())}
		return c, writeCredentials(path, c)
	}
	if err != nil {
		return c, fmt.Errorf("read engine passwords: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read engine passwords %s: %w", path, err)
	}
	if c.Services == "" || c.Analyst == "" {
		return c, fmt.Errorf("read engine passwords %s: a password is missing; remove the file to make new ones", path)
	}
	return c, nil
}

// writeCredentials writes beside and renames, so that a crash never leaves half
// a file.
func writeCredentials(path string, c credentials) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode engine passwords: %w", err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write engine passwords: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write engine passwords: %w", err)
	}
	return nil
}

// openFolder creates the folder, locks it and checks that it has room.
func openFolder(ctx context.Context, cfg Config) (*os.File, error) {
	for _, name := range []string{dirSettings, dirLog, dirData} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("create data folder: %w", err)
		}
	}
	if err := checkRoom(cfg.Dir, cfg.MinFreeBytes); err != nil {
		return nil, err
	}
	return lockFolder(ctx, cfg.Dir)
}

func checkRoom(dir string, least int64) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("measure free space of %s: %w", dir, err)
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	if free < least {
		return fmt.Errorf("the disk of data folder %s has %d MiB free and the ClickHouse engine needs %d MiB; make room or choose another folder",
			dir, free>>20, least>>20)
	}
	return nil
}

// lockFolder takes the folder for this process and the engines it starts. When
// the last owner was killed its engine may still be stopping, which is waited
// for; a living owner is an error at once.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open folder lock: %w", err)
	}
	deadline := time.Now().Add(lockMax)
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		owner := lockOwner(lock)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", dir, err), lock.Close())
		}
		if alive(owner) || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("data folder %s is in use by the ClickHouse engine of process %d; stop that process or choose another folder",
				dir, owner), lock.Close())
		}
		if !sleep(ctx, lockEvery) {
			return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", dir, context.Cause(ctx)), lock.Close())
		}
	}
	if err := signLock(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("sign folder lock: %w", err), lock.Close())
	}
	return lock, nil
}

func signLock(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// lockOwner is the process that signed the lock, 0 if it has not yet.
func lockOwner(lock *os.File) int {
	text, _ := io.ReadAll(io.NewSectionReader(lock, 0, 32))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// noise is what the engine prints that helps nobody: the names of its log files
// and the frames of stack traces, which are stripped of all names.
var noise = regexp.MustCompile(`(?m)^(Logging \w+ to .*|\d+\. \? @ 0x[0-9a-f]+)$`)

// tail is the end of a text file in one line, without noise, empty when
// there is none.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	start := max(0, info.Size()-tailMax)
	text, _ := io.ReadAll(io.NewSectionReader(file, start, tailMax)) // what could be read is what can be shown
	return strings.Join(strings.Fields(noise.ReplaceAllString(string(text), "")), " ")
}
