package balances

import (
	"context"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// verifyEvery is how often a live partition looks whether the ledger still
// holds what it has folded, and a stopped one whether what stopped it is mended.
const verifyEvery = 3 * time.Second

// suspect is a key whose value was built on a message that the ledger lost.
type suspect struct {
	bucket *bucket
	key    string
}

// verify checks that l holds the message that p is in. A *stream.RewindError
// says that it does not.
func (p place) verify(ctx context.Context, l stream.Log) error {
	if p.sequence == 0 {
		return nil
	}
	m, ok, err := l.Get(ctx, p.sequence)
	if err != nil {
		return err
	}
	mark := stream.Mark{Sequence: p.sequence, StoredAt: time.UnixMicro(p.at).UTC()}
	switch {
	case !ok:
		return mark.Verify(ctx, l)
	case p.at != 0 && m.Time.UnixMicro() != p.at:
		return &stream.RewindError{Stream: l.Name(), Mark: mark, Found: stream.MarkOf(m)}
	}
	return nil
}

// verifyFold checks the message that the fold stands at, and the one it stood
// at the last time: the end that the ledger lost may have grown again since.
func (p *partition) verifyFold(ctx context.Context) error {
	for _, m := range []stream.Mark{p.verified, p.mark} {
		if err := m.Verify(ctx, p.ledger); err != nil {
			return err
		}
	}
	p.verified = p.mark
	return nil
}

// verifyBuckets checks that the latest values in the buckets were built on what
// the ledger still holds. Whatever lost its end last had been written before.
func (p *partition) verifyBuckets(ctx context.Context) error {
	for _, b := range []*bucket{p.balances, p.catalog} {
		key, latest := b.newest()
		if err := latest.verify(ctx, p.ledger); err != nil {
			p.suspect = &suspect{bucket: b, key: key}
			return err
		}
	}
	return nil
}

// awaitMended drops the fold and waits until the value that was built on a lost
// message is replaced. When it was the fold alone that was, folding again mends
// it.
func (p *partition) awaitMended(ctx context.Context) error {
	since := p.answerSince
	p.fold, p.clock = newFold(p.number, p.partitions), clock{}
	p.fold.answerSince = since
	p.verified, p.saved, p.savedEntries = stream.Mark{}, stream.Mark{}, 0
	for {
		if err := pause.For(ctx, verifyEvery); err != nil {
			return err
		}
		mended, err := p.mended(ctx)
		if err == nil && mended {
			break
		}
	}
	p.suspect = nil
	p.stopped.Set(0)
	p.status.update(func(s *Status) { s.Err, s.Sequence = nil, 0 })
	p.config.Logger.Info("partition goes on", "partition", p.number)
	return nil
}

// mended reports whether what stopped the partition is no more.
func (p *partition) mended(ctx context.Context) (bool, error) {
	if p.suspect == nil {
		return true, nil
	}
	m, ok, err := p.suspect.bucket.log.Last(ctx, p.suspect.bucket.prefix+p.suspect.key)
	if err != nil || !ok {
		return err == nil, err
	}
	return knownOf(m).place.verify(ctx, p.ledger) == nil, nil
}
