package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

// State is the state folder of a running process: what its services remember
// between starts, each in a folder of its own. It is locked, so that nobody
// else is this instance or writes there. Close it.
type State struct {
	// Dir is the folder.
	Dir string
	// Instance is this process's name among those it shares partitions with.
	// It is the same each time the folder is opened.
	Instance string

	lock *os.File
}

// StatePath is the state folder of the settings.
func (c *Config) StatePath() string {
	if c.StateDir != "" {
		return c.StateDir
	}
	return DataDir(c.DataDir).State()
}

// OpenState opens the state folder of the settings, creating it when missing.
func (c *Config) OpenState() (*State, error) {
	s := &State{Dir: c.StatePath()}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the state folder: %w", err)
	}
	var err error
	s.lock, err = lock(filepath.Join(s.Dir, "lock"))
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("state folder %s: another drawdown process runs on it; give each its own with DRAWDOWN_STATE_DIR or --state-dir: %w", s.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	if s.Instance = c.Instance; s.Instance == "" {
		if s.Instance, err = s.named(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close unlocks the folder.
func (s *State) Close() error { return s.lock.Close() }

// named returns the folder's instance, which is made up the first time.
func (s *State) named() (string, error) {
	path := filepath.Join(s.Dir, "instance")
	name, err := s.read(path)
	if err != nil || name != "" {
		if err == nil && lease.CheckInstance(name) != nil {
			err = fmt.Errorf("%s holds %q; expected the name of an instance: remove the file, and one is made up", path, name)
		}
		return name, err
	}
	name = newInstance()
	return name, writeFile(path, []byte(name+"\n"))
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// newInstance makes up a name that tells people where the process runs.
func newInstance() string {
	const hostMax, randomLen = 40, 6
	host, err := os.Hostname()
	if err != nil {
		host = "instance"
	}
	host = notInName.ReplaceAllString(host, "-")
	return strings.ToLower(host[:min(len(host), hostMax)] + "-" + rand.Text()[:randomLen])
}

// Claim notes that the folder belongs to an installation, and refuses it when
// it belongs to another: what is in it says nothing about this one.
func (s *State) Claim(installation string) error {
	path := filepath.Join(s.Dir, "installation")
	owner, err := s.read(path)
	switch {
	case err != nil:
		return err
	case owner == "":
		return writeFile(path, []byte(installation+"\n"))
	case owner != installation:
		return fmt.Errorf("state folder %s belongs to installation %s, NATS holds installation %s: choose another folder with DRAWDOWN_STATE_DIR, or remove it; it can be made again",
			s.Dir, owner, installation)
	}
	return nil
}

// read returns what a file of the folder says; nothing when there is none.
func (s *State) read(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the state folder: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
