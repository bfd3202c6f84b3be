package balances

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Headers of a bucket's message.
const (
	// headerPlace says which ledger entry the value stands at:
	// "<sequence>.<index>".
	headerPlace = "Drawdown-Ledger-Place"
	// headerStoredAt is when that entry's message was stored, in the ledger's
	// resolution: with the sequence it identifies the message.
	headerStoredAt = "Drawdown-Ledger-Stored-At"
)

// place is a ledger entry.
type place struct {
	sequence uint64
	index    int
	at       int64 // its message's time, in microseconds; 0 when it is not known
}

func (p place) before(q place) bool {
	return p.sequence < q.sequence || p.sequence == q.sequence && p.index < q.index
}

func (p place) header() nats.Header {
	return nats.Header{
		headerPlace:    {strconv.FormatUint(p.sequence, 10) + "." + strconv.Itoa(p.index)},
		headerStoredAt: {time.UnixMicro(p.at).UTC().Format(time.RFC3339Nano)},
	}
}

// placeOf reads what header wrote, and the zero place from anything else.
func placeOf(h nats.Header) place {
	sequence, index, _ := strings.Cut(h.Get(headerPlace), ".")
	var p place
	var errs [2]error
	p.sequence, errs[0] = strconv.ParseUint(sequence, 10, 64)
	p.index, errs[1] = strconv.Atoi(index)
	if errs != [2]error{} {
		return place{}
	}
	if at, err := time.Parse(time.RFC3339Nano, h.Get(headerStoredAt)); err == nil {
		p.at = at.UnixMicro()
	}
	return p
}

// known is what a key holds as far as this projector knows.
type known struct {
	revision uint64
	place    place  // zero for a value nobody's fold wrote
	sum      uint64 // of the value; 0 for no value
}

// knownOf is what a key's message says.
func knownOf(m stream.Message) known {
	k := known{revision: m.Sequence}
	if !m.Deletes() { // else a deletion
		k.place, k.sum = placeOf(m.Header), sum(m.Data)
	}
	return k
}

var seed = maphash.MakeSeed()

func sum(value []byte) uint64 { return maphash.Bytes(seed, value) | 1 }

// put is a value on its way into a bucket.
type put struct {
	key   string
	value []byte
	place place
}

// bucket writes one partition's keys of a bucket. Every put names the revision
// it replaces, so that a value never replaces that of a later entry, whoever
// else writes.
type bucket struct {
	log   stream.Log
	puts  prometheus.Counter
	name  string
	known map[string]known
	// trust reports whether the value at a later place may stay; nil means yes.
	trust func(place) bool
	// tell is told why appends are refused, and nil when they are taken again.
	tell     func(error)
	refusing bool
}

// holds reports whether p need not be written: the key holds it, or the value
// of a later entry.
func (b *bucket) holds(p put) bool {
	k := b.known[p.key]
	if p.place.before(k.place) {
		return b.trust == nil || b.trust(k.place)
	}
	return k.sum == sum(p.value) && k.place == p.place
}

// write brings every put into the bucket and returns when all are acknowledged,
// or hold a later entry's value already. Keys are unique among puts. It tries
// until ctx ends.
func (b *bucket) write(ctx context.Context, puts []put) error {
	for {
		failed := b.round(ctx, puts)
		if len(failed) == 0 {
			b.took()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.explain(ctx, failed)
		puts = make([]put, len(failed))
		for i, f := range failed {
			puts[i] = f.put
		}
	}
}

// failure is an append of which nobody knows that it arrived.
type failure struct {
	put
	err error
}

// explain reads anew what the keys of failed appends hold. Where one holds what
// it held before, nothing says that the append would fare better at once, so
// explain waits: the bucket's disk may be full, which reads do not notice.
func (b *bucket) explain(ctx context.Context, failed []failure) {
	var unexplained error
	for _, f := range failed {
		before := b.known[f.key].revision
		if err := b.refresh(ctx, f.key); err != nil {
			unexplained = err
			break // a revision that is stale now fails once more
		}
		if b.known[f.key].revision == before {
			unexplained = f.err
		}
	}
	if unexplained != nil {
		b.refused(unexplained)
		_ = pause.For(ctx, retryDelay) // its end is seen by the caller
	}
}

// refused tells, once until appends are taken again, that they are not.
func (b *bucket) refused(err error) {
	if !b.refusing {
		b.refusing = true
		b.tell(err)
	}
}

// took tells that appends are taken again, if they were not.
func (b *bucket) took() {
	if b.refusing {
		b.refusing = false
		b.tell(nil)
	}
}

// round appends the puts that change something, and returns those of which
// nobody knows that they arrived.
func (b *bucket) round(ctx context.Context, puts []put) (failed []failure) {
	var changes []put
	var appends []stream.Append
	for _, p := range puts {
		if b.holds(p) {
			continue
		}
		changes = append(changes, p)
		appends = append(appends, stream.Append{
			Subject: stream.BucketSubject(b.name, p.key), Header: p.place.header(), Data: p.value,
			Fence: &stream.Fence{Sequence: b.known[p.key].revision},
		})
	}
	if len(appends) == 0 {
		return nil
	}
	for i, a := range b.log.AppendAll(ctx, appends) {
		if a.Err != nil {
			failed = append(failed, failure{put: changes[i], err: a.Err})
			continue
		}
		b.known[changes[i].key] = known{revision: a.Sequence, place: changes[i].place, sum: sum(changes[i].value)}
		if b.puts != nil {
			b.puts.Inc()
		}
	}
	return failed
}

// refresh reads what key holds now.
func (b *bucket) refresh(ctx context.Context, key string) error {
	m, ok, err := b.log.Last(ctx, stream.BucketSubject(b.name, key))
	if err != nil {
		return err
	}
	delete(b.known, key)
	if ok {
		b.known[key] = knownOf(m)
	}
	return nil
}

// newest returns the key that stands at the latest place.
func (b *bucket) newest() (key string, latest place) {
	for k, known := range b.known {
		if latest.before(known.place) || known.place == latest && k < key {
			key, latest = k, known.place
		}
	}
	return key, latest
}

var errInterrupted = errors.New("the connection to NATS was lost")
