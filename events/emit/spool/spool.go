package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Errors of a spool.
var (
	// ErrFull is what Append returns when the next record would take more than
	// MaxBytes. Removing a segment makes room.
	ErrFull = errors.New("spool is full")
	// ErrLocked is what Open returns while another process has the folder.
	ErrLocked = errors.New("spool folder is in use by another process")
	// ErrFormat is what Open returns for a folder of another format version.
	ErrFormat = errors.New("spool folder has another format")
)

const (
	// MinBytes is the least MaxBytes.
	MinBytes = 4 << 20
	// segmentMax bounds a segment, which is read and delivered as a whole, and
	// again after a crash.
	segmentMax = 4 << 20
	// segmentsMin is how many segments a full spool has at least, so that room
	// is made while it is being delivered.
	segmentsMin = 8
)

// Spool is an open folder. One goroutine may append while another reads and
// removes; Stats may be called from any.
type Spool struct {
	dir          string
	lock         *flock.Flock
	maxBytes     int64
	segmentBytes int64
	create       func(path string) (file, error)

	writing sync.Mutex // held while files are written, before mu
	active  *writer    // the segment being written, or nil
	refused file       // opened with the first refused event

	mu          sync.Mutex
	description Description
	segments    []segment // oldest first, the one being written last
	next        uint64    // number of the next segment
	bytes       int64     // of all segments
	damaged     int64
}

// segment is what is known of one segment file.
type segment struct {
	number  uint64
	bytes   int64 // synced
	events  int
	counts  map[int]int // events of each partition
	oldest  time.Time
	damaged bool
}

// add takes note of records that seg holds.
func (seg *segment) add(records []Record) {
	if seg.events == 0 && len(records) > 0 {
		seg.oldest = records[0].Kept
	}
	seg.events += len(records)
	for i := range records {
		seg.counts[records[i].Partition]++
	}
}

// Stats is what a spool holds.
type Stats struct {
	Events  int       // records not removed yet
	Bytes   int64     // what they take on disk
	Oldest  time.Time // when the oldest of them was kept; zero when there is none
	Damaged int64     // unreadable bytes found since Open
}

// Open opens the folder dir, creating it when it is missing, and claims it for
// this process until Close. It reads every record that is there; maxBytes, at
// least MinBytes, bounds those there and those to come.
func Open(dir string, maxBytes int64) (*Spool, error) {
	if maxBytes < MinBytes {
		return nil, fmt.Errorf("a spool of %d bytes: expected at least %d", maxBytes, MinBytes)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the spool's folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	claimed, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the spool's folder: %w", err)
	}
	if !claimed {
		return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
	}
	s := &Spool{
		dir: dir, lock: lock, maxBytes: maxBytes, segmentBytes: min(segmentMax, maxBytes/segmentsMin),
		create: createFile, next: 1,
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// load finds what an earlier process left.
func (s *Spool) load() error {
	numbers, err := listSegments(s.dir)
	if err != nil {
		return err
	}
	if s.description, err = readDescription(s.dir); err != nil {
		return err
	}
	if len(numbers) > 0 && s.description.Partitions == 0 {
		return fmt.Errorf("%s has segments but no %s: %w", s.dir, descriptionName, ErrFormat)
	}
	for i, number := range numbers {
		if err := s.loadSegment(number, i == len(numbers)-1); err != nil {
			return err
		}
		s.next = number + 1
	}
	return nil
}

// loadSegment reads one segment. A torn end of the newest was never reported as
// kept and is cut off.
func (s *Spool) loadSegment(number uint64, newest bool) error {
	path := filepath.Join(s.dir, segmentName(number))
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read spool segment %d: %w", number, err)
	}
	found := decode(data)
	size := int64(len(data))
	if torn := len(data) - found.end; newest && torn > 0 {
		if err := truncate(path, int64(found.end)); err != nil {
			return fmt.Errorf("cut the torn end of spool segment %d: %w", number, err)
		}
		found.damaged -= torn
		size = int64(found.end)
		s.damaged += int64(torn)
	}
	s.damaged += int64(found.damaged)
	if size == 0 {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an empty spool segment: %w", err)
		}
		return nil
	}
	seg := segment{number: number, bytes: size, counts: make(map[int]int), damaged: found.damaged > 0}
	for i := range found.records {
		r := &found.records[i]
		if r.Partition >= s.description.Partitions {
			return fmt.Errorf("spool segment %d holds an event of partition %d, %s says there are %d", number, r.Partition, descriptionName, s.description.Partitions)
		}
	}
	seg.add(found.records)
	s.segments = append(s.segments, seg)
	s.bytes += size
	return nil
}

func truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// Counts returns how many events of each partition the spool holds.
func (s *Spool) Counts() map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[int]int)
	for _, seg := range s.segments {
		for partition, n := range seg.counts {
			counts[partition] += n
		}
	}
	return counts
}

// Description returns what the spool's events belong to; the zero value when
// the folder is new.
func (s *Spool) Description() Description {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.description
}

// Describe remembers d for whoever opens the folder next. It must be called
// before the first Append to a new folder.
func (s *Spool) Describe(d Description) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d == s.description {
		return nil
	}
	if err := writeDescription(s.dir, d); err != nil {
		return err
	}
	s.description = d
	return nil
}

// Stats returns what the spool holds.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Bytes: s.bytes, Damaged: s.damaged}
	for _, seg := range s.segments {
		if seg.events > 0 && stats.Events == 0 {
			stats.Oldest = seg.oldest
		}
		stats.Events += seg.events
	}
	return stats
}

// Close gives the folder back. What is in it stays.
func (s *Spool) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.seal()
	if s.refused != nil {
		err = errors.Join(err, s.refused.Close())
		s.refused = nil
	}
	return errors.Join(err, s.lock.Close())
}
