package balances

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// verifyBuckets checks that what is in the buckets was built on what the ledger
// holds: the latest value, and each that stands where the fold knows of no
// entry. Others are as the fold has them, or are about to be replaced.
func (p *partition) verifyBuckets(ctx context.Context) error {
	for _, b := range []*bucket{p.balances, p.catalog} {
		key, latest := b.newest()
		if err := p.verifyKey(ctx, b, key, latest); err != nil {
			return err
		}
		for _, key := range p.unknown(b) {
			k := b.known[key]
			if err := p.verifyKey(ctx, b, key, k.place); err != nil {
				return err
			}
			if k.place.sequence <= p.mark.Sequence { // the ledger holds no entry of the key there
				k.place = place{}
				b.known[key] = k
			}
		}
	}
	return nil
}

// verifyKey checks that the ledger holds what a value was built on.
func (p *partition) verifyKey(ctx context.Context, b *bucket, key string, at place) error {
	err := at.verify(ctx, p.ledger)
	var rewound *stream.RewindError
	if errors.As(err, &rewound) {
		p.suspect = &suspect{bucket: b, key: key}
		return fmt.Errorf("%s of %s stands at a lost message: %w", key, b.name, err)
	}
	return err
}

// unknown returns, in order, the keys whose values stand at no place that the
// fold can have passed on its way to where the key stands.
func (p *partition) unknown(b *bucket) []string {
	var keys []string
	for key, k := range b.known {
		var own place
		if b == p.catalog {
			own = p.places[key]
		} else {
			own.sequence, own.index, own.at = p.state.Last(key)
		}
		if k.place.sequence > 0 && (own.before(k.place) || !k.place.before(own) && k.place.at != 0 && k.place.at != own.at) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
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
	m, ok, err := p.suspect.bucket.log.Last(ctx, stream.BucketSubject(p.suspect.bucket.name, p.suspect.key))
	if err != nil || !ok {
		return err == nil, err
	}
	return knownOf(m).place.verify(ctx, p.ledger) == nil, nil
}
