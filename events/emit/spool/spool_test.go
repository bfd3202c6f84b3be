package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// record makes the n-th event, of one of three partitions.
func record(n int) spool.Record {
	return spool.Record{
		Partition: n % 3, Kept: noon.Add(time.Duration(n) * time.Millisecond), Time: noon.Add(-time.Minute),
		Event: []byte(`{"id":"` + strconv.Itoa(n) + `","padding":"` + strings.Repeat("x", n%40) + `"}`),
	}
}

func recordRange(from, to int) (records []spool.Record) {
	for n := from; n < to; n++ {
		records = append(records, record(n))
	}
	return records
}

// open opens a spool that is closed when the test ends.
func open(t *testing.T, dir string, maxBytes int64) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, maxBytes)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Describe(spool.Description{Partitions: 3}); err != nil {
		t.Fatalf("describe: %v", err)
	}
	return s
}

func keep(t *testing.T, s *spool.Spool, records []spool.Record) {
	t.Helper()
	if n, err := s.Append(records); err != nil || n != len(records) {
		t.Fatalf("kept %d of %d records: %v", n, len(records), err)
	}
}

// drain reads and removes everything.
func drain(t *testing.T, s *spool.Spool) (records []spool.Record) {
	t.Helper()
	for {
		segment, err := s.Oldest()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if segment == nil {
			return records
		}
		records = append(records, segment.Records...)
		if err := s.Remove(segment); err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
}

func reopen(t *testing.T, s *spool.Spool, dir string) *spool.Spool {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return open(t, dir, 8<<20)
}

// newestSegment is the path of the newest segment in dir.
func newestSegment(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segment in %s: %v", dir, err)
	}
	return slices.Max(paths)
}

func TestRecordsComeBackInOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	keep(t, s, recordRange(0, 500))
	keep(t, s, recordRange(500, 501))
	s = reopen(t, s, dir)
	keep(t, s, recordRange(501, 600))
	if diff := cmp.Diff(map[int]int{0: 200, 1: 200, 2: 200}, s.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(recordRange(0, 600), drain(t, s)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if stats := s.Stats(); stats.Events != 0 || stats.Bytes != 0 || !stats.Oldest.IsZero() {
		t.Errorf("a drained spool says %+v", stats)
	}
}

func TestRecordsAppendedWhileOthersAreReadComeAfterThem(t *testing.T) {
	s := open(t, t.TempDir(), 8<<20)
	keep(t, s, recordRange(0, 10))
	first, err := s.Oldest()
	if err != nil {
		t.Fatal(err)
	}
	keep(t, s, recordRange(10, 20))
	if diff := cmp.Diff(recordRange(0, 10), first.Records); diff != "" {
		t.Errorf("the segment being read (-want +got):\n%s", diff)
	}
	if err := s.Remove(first); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(recordRange(10, 20), drain(t, s)); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

func TestWhatWasNotRemovedIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	keep(t, s, recordRange(0, 10))
	if _, err := s.Oldest(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, dir)
	if diff := cmp.Diff(recordRange(0, 10), drain(t, s)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// A power cut leaves the newest segment cut short anywhere, or with anything
// behind what was synced.
func TestATornEndCostsOnlyWhatWasNeverKept(t *testing.T) {
	whole, last := sizes(t)
	tests := map[string]func(data []byte) []byte{
		"cut in the event":              func(d []byte) []byte { return d[:whole-1] },
		"cut at the header":             func(d []byte) []byte { return d[:whole-last+32] },
		"cut in the header":             func(d []byte) []byte { return d[:whole-last+7] },
		"a byte flipped in the event":   func(d []byte) []byte { d[whole-1] ^= 1; return d },
		"a byte flipped in the length":  func(d []byte) []byte { d[whole-last+5] ^= 0x40; return d },
		"a byte flipped in a checksum":  func(d []byte) []byte { d[whole-last] ^= 0xff; return d },
		"zeros in place of the record":  func(d []byte) []byte { clear(d[whole-last:]); return d },
		"a record cut, zeros behind it": func(d []byte) []byte { return append(d[:whole-5], make([]byte, 9000)...) },
	}
	for name, tear := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 8<<20)
			keep(t, s, recordRange(0, 20))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := newestSegment(t, dir)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tear(data), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, 8<<20)
			if s.Stats().Damaged == 0 {
				t.Error("the torn bytes are not counted")
			}
			keep(t, s, recordRange(100, 105))
			s = reopen(t, s, dir) // the torn segment is no longer the newest
			want := append(recordRange(0, 19), recordRange(100, 105)...)
			if diff := cmp.Diff(want, drain(t, s)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*.damaged")); len(left) > 0 {
				t.Errorf("a torn end is no damage, but %v was set aside", left)
			}
		})
	}
}

// sizes returns the size of a segment of 20 records, and of its last.
func sizes(t *testing.T) (whole, last int) {
	t.Helper()
	for n := range 20 {
		last = 32 + len(record(n).Event)
		whole += last
	}
	return whole, last
}

func TestADamagedRecordCostsThatRecordAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	keep(t, s, recordRange(0, 20))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := newestSegment(t, dir)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := 32 + len(record(0).Event)
	data[at+6] ^= 0x01 // the length of the second record
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 8<<20)
	if got := s.Stats(); got.Events != 19 || got.Damaged != int64(32+len(record(1).Event)) {
		t.Errorf("stats %+v", got)
	}
	if diff := cmp.Diff(append(recordRange(0, 1), recordRange(2, 20)...), drain(t, s)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	aside, err := os.ReadFile(path + ".damaged")
	if err != nil || !bytes.Equal(aside, data) {
		t.Errorf("the damaged segment is not set aside: %v", err)
	}
}

func TestASegmentDamagedWhileOpenDoesNotStopTheRest(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut short":   func(path string) error { return os.Truncate(path, 10) },
		"overwritten": func(path string) error { return os.WriteFile(path, []byte("zap"), 0o600) },
		"taken away":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 8<<20)
			keep(t, s, recordRange(0, 10))
			if err := damage(newestSegment(t, dir)); err != nil {
				t.Fatal(err)
			}
			segment, err := s.Oldest()
			if err != nil {
				t.Fatal(err)
			}
			if len(segment.Records) != 0 || cmp.Diff(map[int]int{0: 4, 1: 3, 2: 3}, segment.Counts) != "" {
				t.Errorf("read %v, counted %v", segment.Records, segment.Counts)
			}
			keep(t, s, recordRange(10, 20))
			if diff := cmp.Diff(recordRange(10, 20), drain(t, s)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if s.Stats().Damaged == 0 {
				t.Error("the damage is not counted")
			}
		})
	}
}

func TestAFullSpoolKeepsWhatFitsAndTakesMoreOnceSomeIsRemoved(t *testing.T) {
	s := open(t, t.TempDir(), spool.MinBytes)
	large := record(0)
	large.Event = bytes.Repeat([]byte("x"), 100_000)
	many := slices.Repeat([]spool.Record{large}, 100)
	n, err := s.Append(many)
	if !errors.Is(err, spool.ErrFull) {
		t.Fatalf("append: %v, want %v", err, spool.ErrFull)
	}
	if stats := s.Stats(); stats.Bytes > spool.MinBytes || stats.Bytes < spool.MinBytes-100_032 || stats.Events != n {
		t.Errorf("kept %d, stats %+v", n, stats)
	}
	if again, err := s.Append(many[:1]); again != 0 || !errors.Is(err, spool.ErrFull) {
		t.Errorf("kept %d more: %v", again, err)
	}
	segment, err := s.Oldest()
	if err != nil {
		t.Fatal(err)
	}
	if len(segment.Records) >= n {
		t.Errorf("a full spool is one segment of %d records", n)
	}
	if err := s.Remove(segment); err != nil {
		t.Fatal(err)
	}
	keep(t, s, many[:len(segment.Records)])
	if got := len(drain(t, s)); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
}

func TestOneProcessAtATimeHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	if _, err := spool.Open(dir, 8<<20); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("open twice: %v, want %v", err, spool.ErrLocked)
	}
	reopen(t, s, dir)
}

func TestTheDescriptionIsRemembered(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Description(); got != (spool.Description{}) {
		t.Errorf("a new folder says %+v", got)
	}
	want := spool.Description{Partitions: 3, Installation: "I1"}
	if err := s.Describe(want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = spool.Open(dir, 8<<20); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Description(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"a folder of another format":             {map[string]string{"spool.json": `{"format":2,"partitions":3}`}, "says format 2, this program reads format 1"},
		"a description that is none":             {map[string]string{"spool.json": "{"}, "read the spool's description"},
		"a description without partitions":       {map[string]string{"spool.json": `{"format":1}`}, "0 partitions"},
		"segments without a description":         {map[string]string{"0000000000000001.segment": "x"}, "has segments but no spool.json"},
		"a segment whose name is no number":      {map[string]string{"one.segment": ""}, "is no segment of a spool"},
		"a segment named in another way":         {map[string]string{"1.segment": ""}, "is no segment of a spool"},
		"events of a partition there is none of": {nil, "holds an event of partition 2, spool.json says there are 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.files == nil {
				s := open(t, dir, 8<<20)
				keep(t, s, recordRange(0, 3))
				if err := errors.Join(s.Describe(spool.Description{Partitions: 2}), s.Close()); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the folder is given back
				if _, err := spool.Open(dir, 8<<20); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("open: %v, want %q", err, test.want)
				}
			}
		})
	}
	if _, err := spool.Open(t.TempDir(), spool.MinBytes-1); err == nil {
		t.Error("a spool that is too small: no error")
	}
}

func TestRefusedEventsAreSetAsideAsLines(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	for n := range 3 {
		if err := s.Refuse(record(n).Event); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s, dir)
	}
	got, err := os.ReadFile(filepath.Join(dir, "refused.jsonl"))
	want := fmt.Sprintf("%s\n%s\n%s\n", record(0).Event, record(1).Event, record(2).Event)
	if err != nil || string(got) != want {
		t.Errorf("refused %q, want %q (%v)", got, want, err)
	}
}

func TestAppendRefusesWhatIsNoEvent(t *testing.T) {
	s := open(t, t.TempDir(), 8<<20)
	for name, event := range map[string][]byte{"empty": nil, "too large": make([]byte, spool.MaxEvent+1)} {
		if n, err := s.Append([]spool.Record{{Event: event}}); n != 0 || err == nil {
			t.Errorf("%s: kept %d: %v", name, n, err)
		}
	}
	if stats := s.Stats(); stats.Events != 0 || stats.Bytes != 0 {
		t.Errorf("stats %+v", stats)
	}
}
