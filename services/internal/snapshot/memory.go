package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
)

// memoryKept is how many snapshots of a name Memory keeps.
const memoryKept = 2

// Memory is a Store in memory, for tests. The zero value is empty.
type Memory struct {
	mu    sync.Mutex
	saved map[string][]saved // in the order they were saved
}

type saved struct {
	header Header
	bytes  []byte
}

// Save is Store's.
func (m *Memory) Save(ctx context.Context, name string, h Header, encode func(io.Writer) error) error {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		return fmt.Errorf("save snapshot %s at %d: %w", name, h.Mark.Sequence, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.saved == nil {
		m.saved = map[string][]saved{}
	}
	all := append(slices.Clone(m.saved[name]), saved{header: h, bytes: b.Bytes()})
	m.saved[name] = all[max(0, len(all)-memoryKept):]
	return nil
}

// Load is Store's.
func (m *Memory) Load(ctx context.Context, name string, atMost uint64, decode func(Header, io.Reader) error) (Header, bool, error) {
	m.mu.Lock()
	all := m.saved[name]
	m.mu.Unlock()
	var found []candidate
	for _, s := range all {
		if atMost == 0 || s.header.Mark.Sequence <= atMost {
			found = append(found, candidate{header: s.header, open: func() (content, error) {
				return memoryContent{bytes.NewReader(s.bytes)}, nil
			}})
		}
	}
	latestFirst(found)
	return load(ctx, found, decode)
}

// latestFirst sorts candidates given in the order they were saved.
func latestFirst(all []candidate) {
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.header.Mark.Sequence, a.header.Mark.Sequence) })
}

type memoryContent struct{ *bytes.Reader }

func (memoryContent) Whole() error { return nil }
func (memoryContent) Close()       {}
