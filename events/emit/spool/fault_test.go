package spool

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// faulty is a real file whose disk fails when the test says so.
type faulty struct {
	file
	disk *disk
}

// disk says how writing fails, nil for not at all.
type disk struct {
	write    error // after half of the bytes
	sync     error
	truncate error
	create   error
}

func (f faulty) Write(p []byte) (int, error) {
	if f.disk.write != nil {
		n, err := f.file.Write(p[:len(p)/2])
		return n, errors.Join(f.disk.write, err)
	}
	return f.file.Write(p)
}

func (f faulty) Sync() error {
	if f.disk.sync != nil {
		return f.disk.sync
	}
	return f.file.Sync()
}

func (f faulty) Truncate(size int64) error {
	if f.disk.truncate != nil {
		return f.disk.truncate
	}
	return f.file.Truncate(size)
}

func openOn(t *testing.T, dir string, d *disk) *Spool {
	t.Helper()
	s, err := Open(dir, MinBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.create = func(path string) (file, error) {
		if d.create != nil {
			return nil, d.create
		}
		f, err := createFile(path)
		return faulty{f, d}, err
	}
	if err := s.Describe(Description{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	return s
}

func event(text string) []Record { return []Record{{Event: []byte(text)}} }

func TestAFailingDiskKeepsNothingMoreAndLosesNothingKept(t *testing.T) {
	tests := map[string]struct {
		fails disk
		// how many segments there are once the disk works again
		segments int
		// what the next process finds of the event that was not reported as kept
		leftover int
	}{
		"writing half of a record":                     {fails: disk{write: syscall.ENOSPC}, segments: 1},
		"writing half of a record, and cutting it off": {fails: disk{write: syscall.ENOSPC, truncate: syscall.EIO}, segments: 2},
		"syncing": {fails: disk{sync: syscall.EIO}, segments: 2},
		"syncing, and cutting off what may or may not be there": {fails: disk{sync: syscall.EIO, truncate: syscall.EIO}, segments: 2, leftover: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var d disk
			s := openOn(t, dir, &d)
			if n, err := s.Append(event("first")); n != 1 || err != nil {
				t.Fatalf("kept %d: %v", n, err)
			}
			d = test.fails
			for range 3 {
				if n, err := s.Append(event("second")); n != 0 || !errors.Is(err, cmp.Or(d.write, d.sync)) {
					t.Fatalf("kept %d on a failing disk: %v", n, err)
				}
			}
			if got := s.Stats(); got.Events != 1 {
				t.Errorf("stats on a failing disk: %+v", got)
			}
			d = disk{}
			if n, err := s.Append(event("third")); n != 1 || err != nil {
				t.Fatalf("kept %d once the disk works: %v", n, err)
			}
			if got := s.Stats(); got.Events != 2 || got.Bytes != 2*(headerBytes+5) {
				t.Errorf("stats: %+v", got)
			}
			checkFiles(t, dir, test.segments, 2+test.leftover)
			var found []string
			for {
				segment, err := s.Oldest()
				if err != nil {
					t.Fatal(err)
				}
				if segment == nil {
					break
				}
				for _, r := range segment.Records {
					found = append(found, string(r.Event))
				}
				if err := s.Remove(segment); err != nil {
					t.Fatal(err)
				}
			}
			if len(found) != 2 || found[0] != "first" || found[1] != "third" {
				t.Errorf("found %q, want first and third", found)
			}
		})
	}
}

// checkFiles checks what a process that starts now would find.
func checkFiles(t *testing.T, dir string, segments, events int) {
	t.Helper()
	numbers, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, number := range numbers {
		data, err := os.ReadFile(filepath.Join(dir, segmentName(number)))
		if err != nil {
			t.Fatal(err)
		}
		got += len(decode(data).records)
	}
	if len(numbers) != segments || got != events {
		t.Errorf("%d files hold %d events, want %d and %d", len(numbers), got, segments, events)
	}
}

func TestASegmentThatCannotBeCreatedIsTriedAgain(t *testing.T) {
	d := disk{create: syscall.ENOSPC}
	s := openOn(t, t.TempDir(), &d)
	if n, err := s.Append(event("one")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("kept %d: %v", n, err)
	}
	d = disk{}
	if n, err := s.Append(event("one")); n != 1 || err != nil {
		t.Fatalf("kept %d: %v", n, err)
	}
	if got := s.Stats(); got.Events != 1 {
		t.Errorf("stats %+v", got)
	}
}
