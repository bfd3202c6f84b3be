package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// file is what is asked of a file being written.
type file interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

// createFile opens path for writing at its end.
func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// writer is the segment being written.
type writer struct {
	file file
	path string
	size int64  // synced
	buf  []byte // reused
}

// Append keeps records in order and returns how many of them: those are synced
// to disk, and the rest are not kept. Its error is ErrFull or what the disk
// said; the same records may be appended again later. After a failure of the
// disk some that were not reported as kept may be found by the next Open.
func (s *Spool) Append(records []Record) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	kept := 0
	for kept < len(records) {
		n, err := s.appendSome(records[kept:])
		kept += n
		if err != nil {
			return kept, err
		}
	}
	return kept, nil
}

// appendSome keeps as many records as fit into one segment, with one sync.
func (s *Spool) appendSome(records []Record) (int, error) {
	for i := range records {
		if n := len(records[i].Event); n == 0 || n > MaxEvent {
			return 0, fmt.Errorf("spool an event of %d bytes: expected 1 to %d", n, MaxEvent)
		}
	}
	if s.active != nil && s.active.size+records[0].size() > s.segmentBytes {
		if err := s.seal(); err != nil {
			return 0, err
		}
	}
	room := s.room()
	if records[0].size() > room {
		return 0, ErrFull
	}
	if s.active == nil {
		if err := s.startSegment(); err != nil {
			return 0, err
		}
	}
	w := s.active
	w.buf = w.buf[:0]
	n := 0
	for n < len(records) {
		size := int64(len(w.buf)) + records[n].size()
		if size > room || n > 0 && w.size+size > s.segmentBytes {
			break
		}
		w.buf = appendRecord(w.buf, &records[n])
		n++
	}
	if err := s.write(w); err != nil {
		return 0, err
	}
	s.count(records[:n], int64(len(w.buf)))
	return n, nil
}

func (s *Spool) room() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxBytes - s.bytes
}

// startSegment makes a new segment the one being written.
func (s *Spool) startSegment() error {
	s.mu.Lock()
	number := s.next
	s.next++
	s.mu.Unlock()
	path := filepath.Join(s.dir, segmentName(number))
	f, err := s.create(path)
	if err != nil {
		return fmt.Errorf("create spool segment %d: %w", number, err)
	}
	if err := syncFolder(s.dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.active = &writer{file: f, path: path}
	s.mu.Lock()
	s.segments = append(s.segments, segment{number: number, counts: make(map[int]int)})
	s.mu.Unlock()
	return nil
}

// write appends the writer's buffer to its segment and syncs it. After a
// failed write the segment ends where it did; after a failed sync nobody knows
// what the disk has, so nothing more is written to that segment.
func (s *Spool) write(w *writer) error {
	_, err := w.file.Write(w.buf)
	usable := true
	if err == nil {
		if err = w.file.Sync(); err == nil {
			w.size += int64(len(w.buf))
			return nil
		}
		usable = false
	}
	if cut := w.file.Truncate(w.size); cut != nil || !usable {
		err = errors.Join(err, s.seal())
	}
	return fmt.Errorf("write spool segment %s: %w", filepath.Base(w.path), err)
}

// count takes note of records that were kept.
func (s *Spool) count(records []Record, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := &s.segments[len(s.segments)-1]
	seg.add(records)
	seg.bytes += size
	s.bytes += size
}

// seal ends the segment being written, when there is one. The next record
// starts another.
func (s *Spool) seal() error {
	w := s.active
	if w == nil {
		return nil
	}
	s.active = nil
	err := w.file.Close()
	if w.size == 0 { // it holds nothing that was kept
		err = errors.Join(err, os.Remove(w.path))
		s.mu.Lock()
		s.segments = s.segments[:len(s.segments)-1]
		s.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("close spool segment %s: %w", filepath.Base(w.path), err)
	}
	return nil
}
