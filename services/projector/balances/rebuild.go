package balances

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// RebuildConfig is what Rebuild needs from the world. Broker and Partitions are
// required.
type RebuildConfig struct {
	Broker     stream.Broker
	Partitions int // of the installation
	// Snapshots, if not nil, get new ones of Installation.
	Snapshots    snapshot.Store
	Installation string
	Logger       *slog.Logger // default discards
}

// Report is what Rebuild found.
type Report struct {
	Accounts Counts // of bucket BALANCES
	Catalog  Counts // of bucket CATALOG
}

// Counts are of keys of a bucket.
type Counts struct {
	Equal    int // held what the ledger says, or the value of a later entry
	Replaced int // held something else, or nothing
	Removed  int // the ledger does not know them
}

// Rebuild folds the LEDGER from its start, without snapshots, and makes the
// buckets hold what that comes to, beside live traffic: a value of an entry
// after those folded stays, if the ledger holds that entry. So it is over when
// everything up to where the ledger ended at the call is equal. progress, if
// not nil, is told how much of the work is done, for each message from the
// caller's goroutine.
//
// A projector whose partition stopped because the ledger lost its end goes on
// by itself afterwards. A partition with a message that is not the ledger's is
// rebuilt up to that, and named in the error, as is one that could not be
// rebuilt; the others are.
func Rebuild(ctx context.Context, c RebuildConfig, progress func(done, total uint64)) (Report, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	r := &rebuild{RebuildConfig: c, ledger: c.Broker.Log(events.StreamLedger), progress: progress}
	state, err := r.ledger.State(ctx)
	if err != nil {
		return Report{}, err
	}
	r.end = state.Last
	found, err := r.scan(ctx)
	if err != nil {
		return Report{}, err
	}
	var errs []error
	for p := range c.Partitions {
		if err := r.partition(ctx, p, found); err != nil {
			errs = append(errs, fmt.Errorf("rebuild the balances of partition %d: %w", p, err))
		}
		if ctx.Err() != nil {
			return r.report, context.Cause(ctx)
		}
	}
	return r.report, errors.Join(errs...)
}

// rebuild is one run of Rebuild.
type rebuild struct {
	RebuildConfig
	ledger   stream.Log
	end      uint64 // of the ledger when it began
	progress func(done, total uint64)
	report   Report
}

// scan reads both buckets once.
func (r *rebuild) scan(ctx context.Context) (*scan, error) {
	s := scanner{broker: r.Broker, partitions: r.Partitions, turn: make(chan struct{}, 1)}
	job := &scan{wanted: map[int]bool{}, done: make(chan struct{})}
	for p := range r.Partitions {
		job.wanted[p] = true
	}
	s.run(ctx, job)
	return job, job.err
}

// partition rebuilds one partition.
func (r *rebuild) partition(ctx context.Context, number int, found *scan) error {
	f := newFold(number, r.Partitions)
	f.begin(time.Unix(math.MaxInt32, 0)) // nobody waits for answers
	unreadable := r.fold(ctx, f)
	var refused *unreadableError
	if unreadable != nil && !errors.As(unreadable, &refused) {
		return unreadable
	}
	balances := r.bucket(ctx, events.BucketBalances, found.balances[number], f)
	catalog := r.bucket(ctx, events.BucketCatalog, found.catalog[number], f)
	if err := r.accounts(ctx, f, balances); err != nil {
		return err
	}
	if err := r.catalog(ctx, f, catalog); err != nil {
		return err
	}
	if r.Snapshots != nil && f.mark.Sequence > 0 {
		err := r.Snapshots.Save(ctx, snapshotName(number), f.header(r.Installation), func(w io.Writer) error { return f.encode(w) })
		if err != nil {
			r.Logger.Warn("snapshot is not saved", "partition", number, "err", err)
		}
	}
	return unreadable
}

// fold folds what the ledger holds of a partition.
func (r *rebuild) fold(ctx context.Context, f *fold) error {
	subjects := events.PartitionLedgerSubjects(f.number)
	var end uint64
	for _, subject := range subjects {
		m, ok, err := r.ledger.Last(ctx, subject)
		if err != nil {
			return err
		}
		if ok {
			end = max(end, m.Sequence)
		}
	}
	if end == 0 {
		return nil
	}
	lost, quiet := r.Broker.Interrupted()
	defer quiet()
	reader, err := r.ledger.Read(ctx, stream.From{}, subjects...)
	if err != nil {
		return err
	}
	defer reader.Close()
	total := r.end * uint64(r.Partitions)
	for f.mark.Sequence < end {
		select {
		case m := <-reader.Messages():
			if err := f.message(m); err != nil {
				return err
			}
			clear(f.touched)
			clear(f.touchedKeys)
			r.progress(min(uint64(f.number)*r.end+m.Sequence, total), total)
		case <-lost:
			return errInterrupted
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// bucket is one that keeps values at places after f's, if the ledger holds
// those.
func (r *rebuild) bucket(ctx context.Context, name string, keys map[string]known, f *fold) *bucket {
	return &bucket{
		log: r.Broker.Log(stream.BucketLog(name)), name: name, known: keys,
		trust: func(p place) bool { return p.sequence > f.mark.Sequence && r.holds(ctx, p) },
		tell:  func(err error) { logRefusal(r.Logger, f.number, name, err) },
	}
}

// holds reports whether the ledger holds the message of p. It asks until it
// knows, or ctx ends: then nothing is written any more either way.
func (r *rebuild) holds(ctx context.Context, p place) bool {
	for {
		err := p.verify(ctx, r.ledger)
		var rewound *stream.RewindError
		if err == nil || errors.As(err, &rewound) {
			return err == nil
		}
		if pause.For(ctx, retryDelay) != nil {
			return true
		}
	}
}

// accounts brings BALANCES in step with f.
func (r *rebuild) accounts(ctx context.Context, f *fold, b *bucket) error {
	strange := maps.Clone(b.known)
	chunk := make([]string, 0, flushMax)
	write := func() error {
		puts, err := f.balancePuts(chunk)
		if err != nil {
			return err
		}
		chunk = chunk[:0]
		return r.write(ctx, b, puts, &r.report.Accounts)
	}
	for account := range f.state.Accounts() {
		delete(strange, account)
		if chunk = append(chunk, account); len(chunk) == flushMax {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if err := write(); err != nil {
		return err
	}
	return r.remove(ctx, b, strange, &r.report.Accounts)
}

// catalog brings f's keys of CATALOG in step with f.
func (r *rebuild) catalog(ctx context.Context, f *fold, b *bucket) error {
	strange := maps.Clone(b.known)
	for key := range f.places {
		f.touchedKeys[key] = struct{}{}
		delete(strange, key)
	}
	puts, err := f.catalogPuts(sortedKeys(f.touchedKeys))
	if err != nil {
		return err
	}
	if err := r.write(ctx, b, puts, &r.report.Catalog); err != nil {
		return err
	}
	return r.remove(ctx, b, strange, &r.report.Catalog)
}

func (r *rebuild) write(ctx context.Context, b *bucket, puts []put, counts *Counts) error {
	for _, p := range puts {
		if b.holds(p) {
			counts.Equal++
		} else {
			counts.Replaced++
		}
	}
	return b.write(ctx, puts)
}

// remove deletes keys that the fold does not know, but for those that somebody
// else knows from later entries.
func (r *rebuild) remove(ctx context.Context, b *bucket, strange map[string]known, counts *Counts) error {
	for _, key := range slices.Sorted(maps.Keys(strange)) {
		if b.known[key].sum == 0 { // deleted before
			continue
		}
		removed, err := b.remove(ctx, key)
		if err != nil {
			return err
		}
		if removed {
			counts.Removed++
		}
	}
	return nil
}

// remove deletes a key unless its value may stay, and reports whether it did.
// It tries until ctx ends.
func (b *bucket) remove(ctx context.Context, key string) (bool, error) {
	for ctx.Err() == nil {
		k, ok := b.known[key]
		if !ok || k.sum == 0 || b.trust(k.place) {
			return false, nil
		}
		_, err := b.log.Append(ctx, stream.Append{
			Subject: stream.BucketSubject(b.name, key), Header: nats.Header{stream.HeaderOperation: {"DEL"}}, Fence: &stream.Fence{Sequence: k.revision},
		})
		if err == nil {
			b.took()
			return true, nil
		}
		b.explain(ctx, []failure{{put: put{key: key}, err: err}})
	}
	return false, context.Cause(ctx)
}
