// Package snapshottest is what every snapshot.Store must pass.
package snapshottest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Run tests the store that open returns, empty.
func Run(t *testing.T, open func(t *testing.T) snapshot.Store) {
	for name, test := range map[string]func(*testing.T, *rig){
		"finds nothing where nothing was saved":                  findsNothing,
		"loads what was saved last":                              loadsTheNewest,
		"loads what stands at or before a sequence":              loadsAtMost,
		"goes on to an older one when the newest is refused":     goesOnToAnOlderOne,
		"keeps what there was when a save fails":                 keepsWhatThereWas,
		"keeps large and empty content":                          keepsAllSizes,
		"loads the latest sequence also when it was saved first": loadsTheLatestSequence,
		"never mixes two savers":                                 neverMixes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &rig{T: t, store: open(t)})
		})
	}
}

type rig struct {
	*testing.T
	store snapshot.Store
}

// header is of a snapshot at a sequence.
func header(sequence uint64) snapshot.Header {
	return snapshot.Header{
		Format: 1, Installation: "one", Partition: 3, Partitions: 16,
		Mark: stream.Mark{Sequence: sequence, StoredAt: time.Date(2026, 1, 1, 0, 0, int(sequence), 7, time.UTC)},
	}
}

func write(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func (r *rig) save(name string, sequence uint64, content string) {
	r.Helper()
	if err := r.store.Save(r.Context(), name, header(sequence), write(content)); err != nil {
		r.Fatal(err)
	}
}

// load loads and checks what it got: the content wanted, or nothing if want is
// empty.
func (r *rig) load(name string, atMost, sequence uint64, want string) {
	r.Helper()
	var got []byte
	h, ok, err := r.store.Load(r.Context(), name, atMost, func(h snapshot.Header, content io.Reader) (err error) {
		got, err = io.ReadAll(content)
		return err
	})
	if err != nil {
		r.Errorf("load %s at most %d: %v", name, atMost, err)
	}
	if ok != (want != "") || string(got) != want {
		r.Errorf("loaded %d bytes, %v; want %d", len(got), ok, len(want))
	}
	if diff := cmp.Diff(header(sequence), h); ok && diff != "" {
		r.Errorf("header (-saved +loaded):\n%s", diff)
	}
}

func findsNothing(t *testing.T, r *rig) {
	r.load("a", 0, 0, "")
	r.save("b", 5, "b at 5")
	r.load("a", 0, 0, "")
	r.load("b", 4, 0, "")
}

func loadsTheNewest(t *testing.T, r *rig) {
	for sequence := uint64(1); sequence <= 7; sequence++ {
		r.save("a", sequence, fmt.Sprint("a at ", sequence))
		r.save("b", 100*sequence, fmt.Sprint("b at ", sequence))
		r.load("a", 0, sequence, fmt.Sprint("a at ", sequence))
	}
}

func loadsAtMost(t *testing.T, r *rig) {
	for sequence := uint64(10); sequence <= 60; sequence += 10 {
		r.save("a", sequence, fmt.Sprint("at ", sequence))
	}
	r.load("a", 60, 60, "at 60")
	r.load("a", 59, 50, "at 50")
	r.load("a", 50, 50, "at 50")
	r.load("a", 9, 0, "")
}

func loadsTheLatestSequence(t *testing.T, r *rig) {
	r.save("a", 20, "at 20")
	r.save("a", 10, "at 10") // by somebody who was slow
	r.load("a", 0, 20, "at 20")
	r.load("a", 19, 10, "at 10")
}

func goesOnToAnOlderOne(t *testing.T, r *rig) {
	r.save("a", 1, "good")
	r.save("a", 2, "bad")
	refused := errors.New("refused")
	var got string
	decode := func(h snapshot.Header, content io.Reader) error {
		b, err := io.ReadAll(content)
		if got = string(b); got == "bad" {
			return refused
		}
		return err
	}
	h, ok, err := r.store.Load(t.Context(), "a", 0, decode)
	if !ok || h.Mark.Sequence != 1 || got != "good" || !errors.Is(err, refused) {
		t.Errorf("loaded %q of %+v, %v, %v; want the good one, and why not the bad one", got, h, ok, err)
	}
	if _, ok, err = r.store.Load(t.Context(), "a", 0, func(snapshot.Header, io.Reader) error { return refused }); ok || !errors.Is(err, refused) {
		t.Errorf("all refused: %v, %v", ok, err)
	}
}

func keepsWhatThereWas(t *testing.T, r *rig) {
	r.save("a", 1, "at 1")
	r.save("a", 2, "at 2")
	broken := errors.New("broken")
	for range 4 {
		err := r.store.Save(t.Context(), "a", header(9), func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Fatalf("save: %v; want %v", err, broken)
		}
		r.load("a", 0, 2, "at 2")
		r.load("a", 1, 1, "at 1")
	}
	r.save("a", 3, "at 3")
	r.load("a", 0, 3, "at 3")
	r.load("a", 2, 2, "at 2")
}

func keepsAllSizes(t *testing.T, r *rig) {
	for i, size := range []int{1, 128 << 10, 128<<10 + 1, 3 << 20} {
		content := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		r.save("a", uint64(i+1), content)
		r.load("a", 0, uint64(i+1), content)
	}
	r.save("a", 9, "")
	taken := false
	h, ok, err := r.store.Load(t.Context(), "a", 0, func(_ snapshot.Header, content io.Reader) error {
		n, err := io.Copy(io.Discard, content)
		taken = n == 0
		return err
	})
	if !ok || err != nil || h.Mark.Sequence != 9 || !taken {
		t.Errorf("empty content: %+v, %v, %v", h, ok, err)
	}
}

// neverMixes saves from several goroutines. Whatever succeeds or fails, what is
// loaded is what one of them saved.
func neverMixes(t *testing.T, r *rig) {
	r.save("a", 1, strings.Repeat("\x01", 1<<20))
	var savers sync.WaitGroup
	for saver := range 3 {
		savers.Go(func() {
			for i := range 5 {
				sequence := uint64(2 + 3*i + saver)
				_ = r.store.Save(t.Context(), "a", header(sequence), func(w io.Writer) error { // may be fenced off
					for range 8 {
						if _, err := w.Write(bytes.Repeat([]byte{byte(sequence)}, 128<<10)); err != nil {
							return err
						}
					}
					return nil
				})
			}
		})
	}
	savers.Wait()
	loaded := false
	_, ok, _ := r.store.Load(t.Context(), "a", 0, func(h snapshot.Header, content io.Reader) error {
		b, err := io.ReadAll(content)
		loaded = len(b) == 1<<20 && bytes.Count(b, []byte{byte(h.Mark.Sequence)}) == len(b)
		return err
	})
	if !ok || !loaded {
		t.Errorf("loaded %v, and it is of one saver: %v", ok, loaded)
	}
}
