package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/drawdown-credits/drawdown/services/chaos/disk"
)

func TestMain(m *testing.M) {
	disk.Isolate()
	os.Exit(m.Run())
}

func TestAFullDiskRefusesWritesUntilItIsFreed(t *testing.T) {
	for _, image := range []bool{false, true} {
		d, err := disk.Mount(t.TempDir(), "disk", 64<<20, image)
		if errors.Is(err, disk.ErrNoMount) {
			t.Logf("nothing to test here: %v", err) // a run falls back to Refuse, and says so
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		write := func() error { return os.WriteFile(filepath.Join(d.Path, "file"), make([]byte, 1<<20), 0o600) }
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(filepath.Join(d.Path, "file")), d.Fill()); err != nil {
			t.Fatal(err)
		}
		if err := write(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: write to a full disk: %v; want ENOSPC", d.Kind, err)
		}
		if err := d.Free(); err != nil {
			t.Fatal(err)
		}
		if err := write(); err != nil {
			t.Errorf("%s: write after it was freed: %v", d.Kind, err)
		}
	}
}
