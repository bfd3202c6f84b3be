package snapshot

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// slots of a name: two snapshots that may be loaded, and a third that is being
// written over.
const slots = 3

// store keeps snapshots in the object store SNAPSHOTS, as objects that any
// NATS client can list and get. Content is appended to the object's subject in
// order, each chunk fenced by the one before it, and the first takes the place
// of what the slot held; the object is there once its description is. So a
// slot whose description and content do not belong together is one that was
// being written.
type store struct {
	log   stream.Log
	chunk int // bytes
}

// chunkMax bounds a message of content, in bytes.
const chunkMax = 128 << 10

// NewStore returns the snapshots of an installation.
func NewStore(b stream.Broker) Store {
	return &store{log: b.Log("OBJ_" + events.BucketSnapshots), chunk: int(min(chunkMax, b.MaxPayload()/2))}
}

// description is what an object store keeps of an object.
type description struct {
	Name     string            `json:"name"`
	Bucket   string            `json:"bucket"`
	NUID     string            `json:"nuid"` // names the subject of the content
	Size     uint64            `json:"size"`
	Chunks   uint32            `json:"chunks"`
	Digest   string            `json:"digest"`
	Metadata map[string]string `json:"metadata"`
}

// Keys of an object's metadata.
const (
	metadataHeader = "header" // a Header in JSON
	metadataRange  = "range"  // the first and the last message of the content
)

// slot is one place of a name.
type slot struct {
	name     string
	revision uint64 // of its description; 0 when it has none
	description
	header      Header
	first, last uint64 // sequences of the content
}

func (s *slot) subject() string { return "$O." + events.BucketSnapshots + ".C." + s.name }

func (s *slot) descriptionSubject() string {
	return "$O." + events.BucketSnapshots + ".M." + base64.URLEncoding.EncodeToString([]byte(s.name))
}

// slots reads the slots of a name, the one saved longest ago first. One that
// cannot be read counts as empty.
func (s *store) slots(ctx context.Context, name string) ([]*slot, error) {
	var all []*slot
	for i := range slots {
		l := &slot{name: fmt.Sprintf("%s-%d", name, i)}
		m, ok, err := s.log.Last(ctx, l.descriptionSubject())
		if err != nil {
			return nil, fmt.Errorf("look for snapshots of %s: %w", name, err)
		}
		if ok {
			l.revision = m.Sequence
			l.read(m.Data)
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b *slot) int { return cmp.Compare(a.revision, b.revision) })
	return all, nil
}

// read reads the slot's description; last stays 0 if that is none of ours.
func (l *slot) read(data []byte) {
	var d description
	var h Header
	var first, last uint64
	if json.Unmarshal(data, &d) != nil || json.Unmarshal([]byte(d.Metadata[metadataHeader]), &h) != nil {
		return
	}
	if n, _ := fmt.Sscanf(d.Metadata[metadataRange], "%d-%d", &first, &last); n != 2 {
		return
	}
	l.description, l.header, l.first, l.last = d, h, first, last
}

// Save is Store's. It writes over the slot saved longest ago.
func (s *store) Save(ctx context.Context, name string, h Header, encode func(io.Writer) error) error {
	if name == "" || strings.ContainsAny(name, ".*> \t\r\n") {
		return fmt.Errorf("save snapshot %q: expected a token of a subject: %w", name, events.ErrInvalid)
	}
	all, err := s.slots(ctx, name)
	if err != nil {
		return err
	}
	if err := s.save(ctx, all[0], h, encode); err != nil {
		return fmt.Errorf("save snapshot %s at %d: %w", name, h.Mark.Sequence, err)
	}
	return nil
}

func (s *store) save(ctx context.Context, l *slot, h Header, encode func(io.Writer) error) error {
	w, err := s.writer(ctx, l.subject())
	if err != nil {
		return err
	}
	if err := encode(w); err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}
	header, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode its header: %w", err)
	}
	body, err := json.Marshal(description{
		Name: l.name, Bucket: events.BucketSnapshots, NUID: l.name,
		Size: w.size, Chunks: w.chunks, Digest: w.digest(),
		Metadata: map[string]string{metadataHeader: string(header), metadataRange: fmt.Sprintf("%d-%d", w.first, w.last)},
	})
	if err != nil {
		return fmt.Errorf("encode its description: %w", err)
	}
	_, err = s.log.Append(ctx, stream.Append{
		Subject: l.descriptionSubject(), Header: nats.Header{headerRollup: {rollupSubject}}, Data: body,
		Fence: &stream.Fence{Sequence: l.revision},
	})
	return err
}

// Load is Store's.
func (s *store) Load(ctx context.Context, name string, atMost uint64, decode func(Header, io.Reader) error) (Header, bool, error) {
	all, err := s.slots(ctx, name)
	if err != nil {
		return Header{}, false, err
	}
	var found []candidate
	for _, l := range all {
		if l.last == 0 || atMost != 0 && l.header.Mark.Sequence > atMost {
			continue
		}
		found = append(found, candidate{header: l.header, open: func() (content, error) { return s.reader(ctx, l) }})
	}
	latestFirst(found)
	return load(ctx, found, decode)
}

// errReplaced says that a slot was, or is being, written over.
var errReplaced = errors.New("it was replaced by another")
