//go:build !linux

package disk

import (
	"errors"
	"os"
)

// Isolate does nothing: only Linux has namespaces.
func Isolate() {}

// Mount returns ErrNoMount.
func Mount(string, string, int64, bool) (*Disk, error) { return nil, ErrNoMount }

// Close has nothing to do.
func (d *Disk) Close() error { return nil }

func (d *Disk) shrink() error { return ErrNoMount }

func (d *Disk) resize(int64) error { return ErrNoMount }

func fill(*os.File) error { return ErrNoMount }

// Refuse is not possible here.
func Refuse(int) (func() error, error) {
	return nil, errors.New("limit the files of a process: only on Linux")
}
