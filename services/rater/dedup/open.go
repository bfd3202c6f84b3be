package dedup

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrInUse reports that somebody else has the folder open.
var ErrInUse = errors.New("the folder is in use by another process")

const (
	cacheBytes    = 32 << 20 // of a process
	memTableBytes = 2 << 20  // of an index, which has up to two of them
	tableBytes    = 4 << 20
)

// Cache is the memory that the indexes of a process share. Close it after them.
type Cache struct{ blocks *pebble.Cache }

// NewCache returns a cache of a fixed size that fills as it is used.
func NewCache() *Cache { return &Cache{blocks: pebble.NewCache(cacheBytes)} }

// Close lets the memory go.
func (c *Cache) Close() { c.blocks.Unref() }

// Open opens the index in a folder, or makes it; without a folder it is in
// memory. What the folder holds and cannot be used is removed: rebuilt then says
// why, and the index is empty. ErrInUse means that nothing was touched.
func Open(folder string, id Identity, cache *Cache) (x *Index, rebuilt string, err error) {
	disk := vfs.Default
	if folder == "" {
		disk, folder = vfs.NewMem(), "index"
	}
	return OpenOn(disk, folder, id, cache)
}

// OpenOn is Open in a folder of a disk that may not be the machine's.
func OpenOn(disk vfs.FS, folder string, id Identity, cache *Cache) (x *Index, rebuilt string, err error) {
	lock, err := acquire(disk, folder)
	if err != nil {
		return nil, "", err
	}
	x = &Index{identity: id, fs: disk, folder: folder, lock: lock}
	if rebuilt, err = x.load(cache); err == nil && rebuilt != "" {
		err = x.reload(cache)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("open the dedup index %s: %w", folder, err), lock.Close())
	}
	return x, rebuilt, nil
}

// reload begins with an empty folder.
func (x *Index) reload(cache *Cache) error {
	if err := empty(x.fs, x.folder); err != nil {
		return err
	}
	if useless, err := x.load(cache); err != nil || useless != "" {
		return errors.Join(err, errors.New(useless))
	}
	return nil
}

func acquire(disk vfs.FS, folder string) (*pebble.Lock, error) {
	if err := disk.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make folder %s: %w", folder, err)
	}
	lock, err := pebble.LockDirectory(folder, disk)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return nil, fmt.Errorf("lock folder %s: %w", folder, err)
	case err != nil:
		return nil, fmt.Errorf("lock folder %s: %w", folder, ErrInUse)
	}
	return lock, nil
}

// empty removes everything in a folder but its lock, which is held.
func empty(disk vfs.FS, folder string) error {
	names, err := disk.List(folder)
	for _, name := range names {
		if err == nil && name != "LOCK" {
			err = disk.RemoveAll(disk.PathJoin(folder, name))
		}
	}
	if err != nil {
		return fmt.Errorf("empty folder %s: %w", folder, err)
	}
	return nil
}

// load opens the database and reads its record. useless says why what it holds
// cannot be used; the database is then closed again.
func (x *Index) load(cache *Cache) (useless string, err error) {
	x.broken.Store(nil)
	x.corrupt.Store(false)
	x.failed = make(chan struct{})
	db, err := pebble.Open(x.folder, x.options(cache))
	var refused syscall.Errno
	switch {
	case errors.As(err, &refused) && refused != syscall.ENOENT:
		return "", err // by the system, which says nothing against what is there
	case err != nil:
		return fmt.Sprintf("it cannot be opened: %v", err), nil
	}
	r, useless := readRecord(db, x.identity)
	if useless != "" {
		return useless, db.Close()
	}
	x.db = db
	x.adopt(r)
	for _, l := range x.live {
		l.old.Store(nil) // until it is made
	}
	if x.scan, err = x.startScan(); err != nil {
		return "", errors.Join(err, db.Close())
	}
	return "", nil
}

// readRecord reads what speaks for the keys in a database; a new one has none.
func readRecord(db *pebble.DB, id Identity) (r record, useless string) {
	r = record{Format: format, Identity: id, Known: map[generation]int64{}}
	value, closer, err := db.Get(stateKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return r, ""
	}
	if err != nil {
		return r, fmt.Sprintf("it is damaged: %v", err)
	}
	defer func() { _ = closer.Close() }() // the value is read by then
	found, err := decodeRecord(value)
	if err != nil {
		return r, fmt.Sprintf("its state is damaged: %v", err)
	}
	if found.Known == nil {
		found.Known = r.Known
	}
	return found, found.mismatch(id)
}

func (x *Index) options(cache *Cache) *pebble.Options {
	o := &pebble.Options{
		FS: x.fs, Lock: x.lock, Cache: cache.blocks,
		FormatMajorVersion: pebble.FormatNewest,
		DisableWAL:         true, // what a crash takes is read from the ledger again
		MemTableSize:       memTableBytes,
		Logger:             logger{x},
		EventListener: &pebble.EventListener{
			BackgroundError: x.fail,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { x.fail(i.Details) },
		},
	}
	for i := range o.Levels {
		o.TargetFileSizes[i] = tableBytes
		o.Levels[i].IndexBlockSize = tableBytes // one for the table
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone }) // hashes
	return o
}

// logger takes what the database says of itself, of which errors alone matter.
type logger struct{ x *Index }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {} // it reaches a caller or BackgroundError too

// Fatalf is called when a change to the database is lost. That is nothing to
// end the process for: the index is not used any more, and opened again.
func (l logger) Fatalf(format string, a ...any) { l.x.fail(fmt.Errorf(format, a...)) }
