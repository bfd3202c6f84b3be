// Package disk gives a store a file system of its own that can be filled until
// it really refuses a write. Mounting needs privileges, or a namespace in which
// there are; Isolate makes one, and with it all mounts go when the run ends,
// however it ends.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoMount says that no file system can be mounted here.
var ErrNoMount = errors.New("no file system can be mounted")

// Disk is a mounted file system.
type Disk struct {
	Path string
	Kind string // such as "ext4 image"
	size int64
}

const inMemory = "tmpfs"

func (d *Disk) ballast() string { return filepath.Join(d.Path, "ballast") }

// Fill takes all the room that is left. Of a disk in memory it takes the room
// away instead, because a ballast would take the machine's memory.
func (d *Disk) Fill() error {
	if d.Kind == inMemory {
		return d.shrink()
	}
	file, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer file.Close()
	return fill(file)
}

// Free gives back what Fill took.
func (d *Disk) Free() error {
	if d.Kind == inMemory {
		return d.resize(d.size)
	}
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}
