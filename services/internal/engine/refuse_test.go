package engine_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/engine"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	lib, err := engine.Locate(os.Getenv("DRAWDOWN_ENGINE_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	port := takenPort(t)
	busy := t.TempDir()
	enginetest.Start(t, engine.Config{Dir: busy})
	fake := filepath.Join(t.TempDir(), "libchdb.so")
	write(t, fake, "this is not a library\n")
	spoiled := t.TempDir()
	write(t, filepath.Join(spoiled, "credentials.json"), `{"drawdown":"x"}`)
	notFolder := filepath.Join(t.TempDir(), "file")
	write(t, notFolder, "")

	for name, refused := range map[string]struct {
		cfg  engine.Config
		says []string
	}{
		"a taken HTTP port is named": {
			engine.Config{Lib: lib, HTTPPort: port},
			[]string{"port " + strconv.Itoa(port), "HTTP", "is taken", "configure another port"},
		},
		"a taken native port is named": {
			engine.Config{Lib: lib, NativePort: port},
			[]string{"port " + strconv.Itoa(port), "native", "is taken", "configure another port"},
		},
		"one port for both protocols is refused": {
			engine.Config{Lib: lib, HTTPPort: 20001, NativePort: 20001}, []string{"20001", "two ports"},
		},
		"a missing library says how to get it": {
			engine.Config{Lib: filepath.Join(busy, "none.so")}, []string{"none.so", "make setup"},
		},
		"no library at all is refused": {engine.Config{}, []string{"library's path"}},
		"a folder in use names its owner": {
			engine.Config{Lib: lib, Dir: busy}, []string{busy, "in use", strconv.Itoa(os.Getpid()), "another folder"},
		},
		"a full disk is named": {
			engine.Config{Lib: lib, MinFreeBytes: 1 << 62}, []string{"MiB free", "make room"},
		},
		"a library that is none fails with what its loader said": {
			engine.Config{Lib: fake}, []string{"tried 3 times", "exit status 1", "load engine library"},
		},
		"a spoiled password file is named": {
			engine.Config{Lib: lib, Dir: spoiled}, []string{"credentials.json", "password is missing"},
		},
		"a file in place of the folder is named": {
			engine.Config{Lib: lib, Dir: notFolder}, []string{"create data folder", notFolder},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if refused.cfg.Dir == "" {
				refused.cfg.Dir = t.TempDir()
			}
			e, err := engine.Start(t.Context(), refused.cfg)
			if err == nil {
				e.Close()
				t.Fatal("it started")
			}
			for _, part := range refused.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lib, err := engine.Locate(os.Getenv("DRAWDOWN_ENGINE_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Start(ctx, engine.Config{Lib: lib, Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

// takenPort is a port of 127.0.0.1 that is in use until t ends.
func takenPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
