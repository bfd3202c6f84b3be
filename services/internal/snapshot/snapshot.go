// Package snapshot keeps states of folds, so that a start need not read the
// ledger from its beginning. A snapshot changes cost, never meaning: whoever
// loads one verifies what its Header says, and folds from the start when none
// fits.
//
// The invariants of a Store:
//
//   - A snapshot is loaded whole, as it was saved, or not at all.
//   - A save that fails or crashes anywhere leaves the two newest in place.
//   - Two savers of one name never mix: at most one succeeds at a time.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Whole stands in place of a partition in the Header of a fold of the whole
// ledger.
const Whole = -1

// Header says what a snapshot is of.
type Header struct {
	Format       int    `json:"format"` // of the content; its owner's
	Installation string `json:"installation"`
	Partition    int    `json:"partition"` // or Whole
	Partitions   int    `json:"partitions"`
	// Mark is the last LEDGER message that the content has folded.
	Mark stream.Mark `json:"mark"`
}

// Check returns an error that says what of h is not as want has it. Marks are
// not compared: verify h's against the ledger.
func (h Header) Check(want Header) error {
	switch {
	case h.Format != want.Format:
		return fmt.Errorf("snapshot at %d has format %d; expected %d", h.Mark.Sequence, h.Format, want.Format)
	case h.Installation != want.Installation:
		return fmt.Errorf("snapshot at %d is of installation %s; expected %s", h.Mark.Sequence, h.Installation, want.Installation)
	case h.Partition != want.Partition || h.Partitions != want.Partitions:
		return fmt.Errorf("snapshot at %d is of partition %d of %d; expected %d of %d",
			h.Mark.Sequence, h.Partition, h.Partitions, want.Partition, want.Partitions)
	}
	return nil
}

// Store keeps snapshots under names, which are tokens of a NATS subject. Its
// methods may be called from many goroutines.
type Store interface {
	// Save keeps what encode writes as the newest snapshot of name, and at least
	// the one before it. An error means that it may not have been kept.
	Save(ctx context.Context, name string, h Header, encode func(io.Writer) error) error
	// Load hands snapshots of name at or before sequence atMost (0: all) to
	// decode, those at the latest sequence first, until one is taken: decode
	// returned nil, and its content was whole. What decode made of others is to
	// be discarded. It returns the header of the one taken; ok is false when
	// none was. err says why others were not taken, or that the store cannot be
	// read.
	Load(ctx context.Context, name string, atMost uint64, decode func(Header, io.Reader) error) (h Header, ok bool, err error)
}

// candidate is a snapshot that may be loaded.
type candidate struct {
	header Header
	open   func() (content, error)
}

// content is what was saved. Whole reads what is left of it and returns an
// error if that, or what was read before, is not as it was saved.
type content interface {
	io.Reader
	Whole() error
	Close()
}

// load tries candidates in order.
func load(ctx context.Context, all []candidate, decode func(Header, io.Reader) error) (Header, bool, error) {
	var refused []error
	for _, c := range all {
		err := try(c, decode)
		if err == nil {
			return c.header, true, errors.Join(refused...)
		}
		if ctx.Err() != nil {
			return Header{}, false, context.Cause(ctx)
		}
		refused = append(refused, fmt.Errorf("load the snapshot at %d: %w", c.header.Mark.Sequence, err))
	}
	return Header{}, false, errors.Join(refused...)
}

func try(c candidate, decode func(Header, io.Reader) error) error {
	r, err := c.open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := decode(c.header, r); err != nil {
		return err
	}
	return r.Whole()
}
