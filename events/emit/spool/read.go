package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Segment is the oldest segment, read whole.
type Segment struct {
	// Records are those that can be read, in the order they were appended.
	Records []Record
	// Counts is how many events of each partition were put into it: more than
	// Records holds when it is damaged.
	Counts map[int]int

	number uint64
}

// Oldest reads the oldest segment, which gets no further records from now on.
// It returns nil when the spool is empty. The same segment is returned until it
// is removed.
func (s *Spool) Oldest() (*Segment, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	seg, ok := s.first()
	if !ok {
		return nil, nil
	}
	if s.active != nil && s.active.path == filepath.Join(s.dir, segmentName(seg.number)) {
		if err := s.seal(); err != nil {
			return nil, err
		}
		if seg, ok = s.first(); !ok {
			return nil, nil // nothing was kept in it
		}
	}
	data, err := s.readSegment(seg)
	if err != nil {
		return nil, fmt.Errorf("read spool segment %d: %w", seg.number, err)
	}
	found := decode(data)
	s.noteDamage(seg, found.damaged)
	return &Segment{Records: found.records, Counts: seg.counts, number: seg.number}, nil
}

func (s *Spool) first() (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return segment{}, false
	}
	return s.segments[0], true
}

// readSegment reads the synced part of seg. What a failed write may have left
// behind it was not kept.
func (s *Spool) readSegment(seg segment) ([]byte, error) {
	data := make([]byte, seg.bytes) // zeros are no records
	f, err := os.Open(filepath.Join(s.dir, segmentName(seg.number)))
	if errors.Is(err, fs.ErrNotExist) {
		return data, nil // somebody took it: all of it is damage
	}
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // shorter than it was: the rest is damage
	}
	return data, errors.Join(err, f.Close())
}

// noteDamage counts damage that came after Open.
func (s *Spool) noteDamage(seg segment, damaged int) {
	if damaged == 0 || seg.damaged {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments[0].damaged = true
	s.damaged += int64(damaged)
}

// Remove removes seg, the oldest segment, once all of it is delivered. Damaged
// ones are set aside instead.
func (s *Spool) Remove(seg *Segment) error {
	first, ok := s.first()
	if !ok || first.number != seg.number {
		return fmt.Errorf("remove spool segment %d: it is not the oldest", seg.number)
	}
	path := filepath.Join(s.dir, segmentName(seg.number))
	var err error
	if first.damaged {
		err = os.Rename(path, path+damagedSuffix)
	} else {
		err = os.Remove(path)
	}
	s.mu.Lock()
	s.segments = s.segments[1:]
	s.bytes -= first.bytes
	s.mu.Unlock()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove spool segment %d: %w", seg.number, err)
	}
	return nil
}

// Refuse sets an event aside that can never be delivered, for people to look
// at. It is synced when Refuse returns.
func (s *Spool) Refuse(event []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.refused == nil {
		f, err := createFile(filepath.Join(s.dir, refusedName))
		if err != nil {
			return fmt.Errorf("open %s: %w", refusedName, err)
		}
		s.refused = f
	}
	line := append(append(make([]byte, 0, len(event)+1), event...), '\n')
	if _, err := s.refused.Write(line); err != nil {
		return fmt.Errorf("write %s: %w", refusedName, err)
	}
	if err := s.refused.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", refusedName, err)
	}
	return syncFolder(s.dir)
}
