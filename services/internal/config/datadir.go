package config

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DataDir is the folder of an installation on embedded parts. Its files are
// readable by their owner alone, because the keys are among them.
type DataDir string

// The contents of a data folder.
func (d DataDir) NATS() string       { return filepath.Join(string(d), "nats") }
func (d DataDir) ClickHouse() string { return filepath.Join(string(d), "clickhouse") }
func (d DataDir) State() string      { return filepath.Join(string(d), "state") }
func (d DataDir) Log() string        { return filepath.Join(string(d), "drawdown.log") }
func (d DataDir) apiKey() string     { return filepath.Join(string(d), "api_key") }
func (d DataDir) password() string   { return filepath.Join(string(d), "nats_password") }
func (d DataDir) Endpoints() string  { return filepath.Join(string(d), "endpoints.json") }
func (d DataDir) natsURL() string    { return filepath.Join(string(d), "nats_url") }
func (d DataDir) queryURL() string   { return filepath.Join(string(d), "clickhouse_url") }
func (d DataDir) lock() string       { return filepath.Join(string(d), "lock") }

// Endpoints say how to reach a running installation. They hold passwords.
type Endpoints struct {
	HTTP       string `json:"http"`
	NATS       string `json:"nats"`
	ClickHouse string `json:"clickhouse"`     // for services, native protocol
	Analyst    string `json:"clickhouse_url"` // for people: read only, HTTP, takes queries as it is
	PID        int    `json:"pid"`
	EnginePID  int    `json:"engine_pid"`
}

// ErrInUse reports that another process runs on the folder.
var ErrInUse = errors.New("folder in use")

// Lock claims the folder for this process, creating it when missing, until
// the returned function is called or the process ends.
func (d DataDir) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("create the data folder: %w", err)
	}
	file, err := lock(d.lock())
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%s: another drawdown runs on it; stop it or choose another folder with --data: %w", d, err)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// lock locks a file until it is closed or the process ends.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the folder's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, ErrInUse
	}
	return file, nil
}

// APIKey returns the installation's HTTP key, making one the first time.
func (d DataDir) APIKey() (string, error) { return secretFile(d.apiKey()) }

// NATSPassword returns the password of the embedded NATS, making one the
// first time.
func (d DataDir) NATSPassword() (string, error) { return secretFile(d.password()) }

// ReadAPIKey returns the key of an installation that was started before.
func (d DataDir) ReadAPIKey() (string, error) {
	key, err := os.ReadFile(d.apiKey())
	return strings.TrimSpace(string(key)), err
}

// WriteEndpoints records how to reach the running installation: all of it as
// JSON, and what people use with other programs in files of their own.
func (d DataDir) WriteEndpoints(e Endpoints) error {
	if err := errors.Join(writeFile(d.natsURL(), []byte(e.NATS+"\n")), writeFile(d.queryURL(), []byte(e.Analyst+"\n"))); err != nil {
		return err
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode endpoints: %w", err)
	}
	return writeFile(d.Endpoints(), append(text, '\n'))
}

// ReadEndpoints reads what WriteEndpoints wrote. Its error says what to do
// when there is no installation.
func (d DataDir) ReadEndpoints() (Endpoints, error) {
	text, err := os.ReadFile(d.Endpoints())
	if errors.Is(err, fs.ErrNotExist) {
		return Endpoints{}, fmt.Errorf("no installation in %q: start one with drawdown up, name its folder with --data, or set DRAWDOWN_NATS_URL and DRAWDOWN_CLICKHOUSE_DSN", string(d))
	}
	if err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints: %w", err)
	}
	var e Endpoints
	if err := json.Unmarshal(text, &e); err != nil {
		return Endpoints{}, fmt.Errorf("decode %s: %w", d.Endpoints(), err)
	}
	return e, nil
}

func secretFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(text)) != "" {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := rand.Text()
	return secret, writeFile(path, []byte(secret+"\n"))
}

// writeFile replaces a file as a whole, so that a crash never leaves half.
func writeFile(path string, text []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
