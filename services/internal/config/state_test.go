package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/config"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

func open(t *testing.T, c *config.Config) *config.State {
	t.Helper()
	s, err := c.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAStateFolderIsOneInstanceForEver(t *testing.T) {
	c := &config.Config{DataDir: t.TempDir()}
	first := open(t, c)
	if err := lease.CheckInstance(first.Instance); err != nil {
		t.Error(err)
	}
	if want := filepath.Join(c.DataDir, "state"); first.Dir != want {
		t.Errorf("the folder is %s; want %s", first.Dir, want)
	}
	if _, err := c.OpenState(); !errors.Is(err, config.ErrInUse) || !strings.Contains(err.Error(), "DRAWDOWN_STATE_DIR") {
		t.Errorf("opened twice: %v; want ErrInUse, and what to do", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, c); again.Instance != first.Instance {
		t.Errorf("instance %s, then %s; want the same", first.Instance, again.Instance)
	}
	if other := open(t, &config.Config{DataDir: t.TempDir()}); other.Instance == first.Instance {
		t.Errorf("two folders are both instance %s", other.Instance)
	}
}

func TestTheSettingNamesTheInstanceAndTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	if s := open(t, &config.Config{DataDir: "nowhere", StateDir: dir, Instance: "rater-1"}); s.Instance != "rater-1" || s.Dir != dir {
		t.Errorf("opened %+v", s)
	}
}

func TestAnInstanceFileThatIsSpoiledIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "instance"), []byte("a b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &config.Config{StateDir: dir}
	for range 2 { // the refusal does not leave the folder locked
		if _, err := c.OpenState(); err == nil || !strings.Contains(err.Error(), `"a b.c"`) {
			t.Errorf("open: %v; want an error that names what is in the file", err)
		}
	}
}

func TestAStateFolderOfAnotherInstallationIsRefused(t *testing.T) {
	s := open(t, &config.Config{StateDir: t.TempDir()})
	for range 2 {
		if err := s.Claim("HERE"); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Claim("THERE")
	for _, want := range []string{"HERE", "THERE", s.Dir, "DRAWDOWN_STATE_DIR"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("claimed for another: %v; want one line that names %s", err, want)
		}
	}
}

func TestATestMovesTheClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	t.Setenv("DRAWDOWN_CLOCK_OFFSET_FILE", path)
	set := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	near := func(now func() time.Time, offset time.Duration) bool {
		return now().Sub(time.Now().Add(offset)).Abs() < time.Minute
	}
	set("-24h\n")
	now := config.Clock()
	if !near(now, -24*time.Hour) {
		t.Errorf("the clock says %s with an offset of -24h", now())
	}
	set("48h")
	for !near(now, 48*time.Hour) {
		if t.Context().Err() != nil {
			t.Fatal("the clock never follows the file")
		}
	}
	set("nonsense")
	for !near(now, 0) {
		if t.Context().Err() != nil {
			t.Fatal("the clock never comes back")
		}
	}
	t.Setenv("DRAWDOWN_CLOCK_OFFSET_FILE", "")
	if now := config.Clock(); !near(now, 0) {
		t.Errorf("without the variable the clock says %s", now())
	}
}
