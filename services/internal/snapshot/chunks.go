package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// headerRollup, with this value, makes a message take the place of all before
// it on its subject.
const (
	headerRollup  = "Nats-Rollup"
	rollupSubject = "sub"
)

// chunkTimeout bounds the wait for one message of content.
const chunkTimeout = 10 * time.Second

// chunkWriter appends what is written to it, one message at a time, so that it
// holds no more than that.
type chunkWriter struct {
	ctx     context.Context
	log     stream.Log
	subject string
	chunk   []byte

	first, last uint64
	size        uint64
	chunks      uint32
	sum         hash.Hash
}

func (s *store) writer(ctx context.Context, subject string) (*chunkWriter, error) {
	m, _, err := s.log.Last(ctx, subject)
	if err != nil {
		return nil, err
	}
	return &chunkWriter{ctx: ctx, log: s.log, subject: subject, chunk: make([]byte, 0, s.chunk), last: m.Sequence, sum: sha256.New()}, nil
}

func (w *chunkWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), cap(w.chunk)-len(w.chunk))
		w.chunk, rest = append(w.chunk, rest[:n]...), rest[n:]
		if len(w.chunk) == cap(w.chunk) {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

func (w *chunkWriter) flush() error {
	ctx, cancel := context.WithTimeout(w.ctx, chunkTimeout)
	defer cancel()
	a := stream.Append{Subject: w.subject, Data: w.chunk, Fence: &stream.Fence{Sequence: w.last}}
	if w.chunks == 0 {
		a.Header = nats.Header{headerRollup: {rollupSubject}}
	}
	sequence, err := w.log.Append(ctx, a)
	if errors.Is(err, stream.ErrFenced) {
		return fmt.Errorf("somebody else is saving one: %w", err)
	}
	if err != nil {
		return err
	}
	if w.chunks == 0 {
		w.first = sequence
	}
	w.last = sequence
	w.size += uint64(len(w.chunk))
	w.chunks++
	w.sum.Write(w.chunk)
	w.chunk = make([]byte, 0, cap(w.chunk)) // the client may still hold the other
	return nil
}

// end writes what is left; there is at least one chunk.
func (w *chunkWriter) end() error {
	if len(w.chunk) > 0 || w.chunks == 0 {
		return w.flush()
	}
	return nil
}

func (w *chunkWriter) digest() string { return digest(w.sum) }

func digest(h hash.Hash) string {
	return "SHA-256=" + base64.URLEncoding.EncodeToString(h.Sum(nil))
}

// chunkReader reads the content of a slot.
type chunkReader struct {
	ctx    context.Context
	slot   *slot
	reader *stream.Reader
	rest   []byte
	at     uint64 // the last message read
	chunks uint32
	sum    hash.Hash
}

// reader opens the content of l, if it still belongs to the description.
func (s *store) reader(ctx context.Context, l *slot) (*chunkReader, error) {
	m, ok, err := s.log.Last(ctx, l.subject())
	if err != nil {
		return nil, err
	}
	if !ok || m.Sequence != l.last {
		return nil, errReplaced
	}
	r, err := s.log.Read(ctx, stream.From{Sequence: l.first}, l.subject())
	if err != nil {
		return nil, err
	}
	return &chunkReader{ctx: ctx, slot: l, reader: r, sum: sha256.New()}, nil
}

func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.at == r.slot.last {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads a message. If the slot is written over meanwhile, one beyond its
// end comes.
func (r *chunkReader) next() error {
	ctx, cancel := context.WithTimeout(r.ctx, chunkTimeout)
	defer cancel()
	m, err := r.reader.Next(ctx)
	if err != nil {
		return fmt.Errorf("read chunk %d of %d: %w", r.chunks+1, r.slot.Chunks, err)
	}
	if m.Sequence > r.slot.last {
		return errReplaced
	}
	r.at, r.rest = m.Sequence, m.Data
	r.chunks++
	r.sum.Write(m.Data)
	return nil
}

func (r *chunkReader) Whole() error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if r.chunks != r.slot.Chunks || digest(r.sum) != r.slot.Digest {
		return errors.New("its content is not what was saved: the digest differs")
	}
	return nil
}

func (r *chunkReader) Close() { r.reader.Close() }
