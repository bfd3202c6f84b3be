package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/drawdown-credits/drawdown/services/internal/config"
)

func TestAFlagWinsOverTheEnvironmentAndTheEnvironmentOverTheDefault(t *testing.T) {
	t.Setenv("DRAWDOWN_PARTITIONS", "4")
	t.Setenv("DRAWDOWN_LOG_LEVEL", "warn")
	c, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags(flags)
	if err := flags.Parse([]string{"--partitions", "8"}); err != nil {
		t.Fatal(err)
	}
	if c.Partitions != 8 || c.LogLevel != "warn" || c.Replicas != 1 {
		t.Errorf("partitions %d, log level %s, replicas %d; want 8, warn, 1", c.Partitions, c.LogLevel, c.Replicas)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const secret = "s3cr3t"
	t.Setenv("DRAWDOWN_API_KEY", secret)
	t.Setenv("DRAWDOWN_NATS_URL", "nats://drawdown:"+secret+"@127.0.0.1:4222")
	t.Setenv("DRAWDOWN_CLICKHOUSE_DSN", "clickhouse://drawdown:"+secret+"@127.0.0.1:9000/drawdown")
	c, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range c.Settings() {
		if strings.Contains(setting.Value, secret) {
			t.Errorf("%s prints its secret: %s", setting.Variable, setting.Value)
		}
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags(flags)
	if usage := flags.FlagUsages(); strings.Contains(usage, secret) {
		t.Errorf("the flags' help prints a secret:\n%s", usage)
	}
}

func TestValidateNamesTheVariable(t *testing.T) {
	tests := map[string]func(*config.Config){
		"DRAWDOWN_PARTITIONS of none":       func(c *config.Config) { c.Partitions = 0 },
		"DRAWDOWN_REPLICAS of six":          func(c *config.Config) { c.Replicas = 6 },
		"DRAWDOWN_HTTP_ADDR without a host": func(c *config.Config) { c.HTTPAddr = "8080" },
		"DRAWDOWN_LOG_LEVEL of no name":     func(c *config.Config) { c.LogLevel = "loud" },
		"DRAWDOWN_MAX_AHEAD behind":         func(c *config.Config) { c.MaxAhead = -1 },
		"DRAWDOWN_DEDUP_HORIZON too short":  func(c *config.Config) { c.DedupHorizon = config.HorizonMin - 1 },
		"DRAWDOWN_DEDUP_HORIZON too long":   func(c *config.Config) { c.DedupHorizon = config.HorizonMax + 1 },
		"DRAWDOWN_INSTANCE that is no name": func(c *config.Config) { c.Instance = "a.b" },
		"DRAWDOWN_INSTANCE longer than 64":  func(c *config.Config) { c.Instance = strings.Repeat("a", 65) },
	}
	for name, spoil := range tests {
		variable, _, _ := strings.Cut(name, " ")
		t.Run(name, func(t *testing.T) {
			c, err := config.Load()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err != nil {
				t.Fatalf("defaults: %v", err)
			}
			spoil(c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), variable) {
				t.Errorf("Validate: %v; want an error that names %s", err, variable)
			}
		})
	}
}

func TestADataFolderIsLockedByOneProcessAtATime(t *testing.T) {
	dir := config.DataDir(filepath.Join(t.TempDir(), "new"))
	unlock, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Lock(); !errors.Is(err, config.ErrInUse) {
		t.Errorf("second lock: %v; want ErrInUse", err)
	}
	unlock()
	again, err := dir.Lock()
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	again()
}

func TestSecretsAreMadeOnceAndReadableByTheOwnerAlone(t *testing.T) {
	dir := config.DataDir(t.TempDir())
	first, err := dir.APIKey()
	if err != nil || len(first) < 20 {
		t.Fatalf("API key %q, %v", first, err)
	}
	if second, err := dir.APIKey(); second != first || err != nil {
		t.Errorf("second time: %q, %v; want the same key", second, err)
	}
	info, err := os.Stat(filepath.Join(string(dir), "api_key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestReadEndpointsSaysWhatToDoWithoutAnInstallation(t *testing.T) {
	if _, err := config.DataDir(t.TempDir()).ReadEndpoints(); err == nil || !strings.Contains(err.Error(), "drawdown up") {
		t.Errorf("ReadEndpoints of an empty folder: %v", err)
	}
}
