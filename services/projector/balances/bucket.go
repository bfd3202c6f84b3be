package balances

import (
	"context"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// putWindow bounds the puts of one partition that wait for their ack.
const putWindow = 256

// headerPlace says in a bucket's message which ledger entry the value stands
// at: "<sequence>.<index>".
const headerPlace = "Drawdown-Ledger-Place"

// headerOperation marks a key-value message that deletes its key.
const headerOperation = "KV-Operation"

// place is a ledger entry.
type place struct {
	sequence uint64
	index    int
}

func (p place) before(q place) bool {
	return p.sequence < q.sequence || p.sequence == q.sequence && p.index < q.index
}

func (p place) String() string {
	return strconv.FormatUint(p.sequence, 10) + "." + strconv.Itoa(p.index)
}

// parsePlace reads what String returns, and the zero place from anything else.
func parsePlace(s string) place {
	sequence, index, _ := strings.Cut(s, ".")
	var p place
	var errs [2]error
	p.sequence, errs[0] = strconv.ParseUint(sequence, 10, 64)
	p.index, errs[1] = strconv.Atoi(index)
	if errs != [2]error{} {
		return place{}
	}
	return p
}

// known is what a key holds as far as this projector knows.
type known struct {
	revision uint64
	place    place  // zero for a value nobody's fold wrote
	sum      uint64 // of the value; 0 for no value
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
	publisher jetstream.JetStream
	puts      prometheus.Counter
	prefix    string // of the keys' subjects

	stream jetstream.Stream // under the bucket; set by the scan
	known  map[string]known
}

// write brings every put into the bucket and returns when all are acknowledged,
// or hold a later entry's value already. Keys are unique among puts. It tries
// until ctx ends.
func (b *bucket) write(ctx context.Context, puts []put) error {
	for {
		puts = b.round(ctx, puts)
		if len(puts) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, p := range puts {
			// A refresh that fails leaves a stale revision, whose put fails too.
			if b.refresh(ctx, p.key) != nil {
				wait(ctx, retryDelay)
			}
		}
	}
}

// flight is a put that waits for its ack.
type flight struct {
	put
	future jetstream.PubAckFuture
}

// round publishes the puts that change something, a window of them at a time,
// and returns those that were not acknowledged.
func (b *bucket) round(ctx context.Context, puts []put) (failed []put) {
	var window []flight
	land := func(n int) {
		for _, f := range window[:n] {
			if !b.landed(ctx, f) {
				failed = append(failed, f.put)
			}
		}
		window = append(window[:0], window[n:]...)
	}
	for _, p := range puts {
		if k := b.known[p.key]; k.sum == sum(p.value) && k.place == p.place || p.place.before(k.place) {
			continue
		}
		if len(window) == putWindow {
			land(putWindow / 2)
		}
		m := nats.NewMsg(b.prefix + p.key)
		m.Data = p.value
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(b.known[p.key].revision, 10))
		m.Header.Set(headerPlace, p.place.String())
		future, err := b.publisher.PublishMsgAsync(m)
		if err != nil {
			failed = append(failed, p)
			continue
		}
		window = append(window, flight{put: p, future: future})
	}
	land(len(window))
	return failed
}

// landed waits for f's ack. Without one the outcome is unknown.
func (b *bucket) landed(ctx context.Context, f flight) bool {
	select {
	case ack := <-f.future.Ok():
		b.known[f.key] = known{revision: ack.Sequence, place: f.place, sum: sum(f.value)}
		b.puts.Inc()
		return true
	case <-f.future.Err():
		return false
	case <-ctx.Done():
		return false
	}
}

// refresh reads what key holds now.
func (b *bucket) refresh(ctx context.Context, key string) error {
	m, ok, err := stream.Last(ctx, b.stream, b.prefix+key)
	if err != nil {
		return err
	}
	delete(b.known, key)
	if !ok {
		return nil
	}
	b.learn(key, m)
	return nil
}

// learn notes what a key's message says.
func (b *bucket) learn(key string, m stream.Message) {
	k := known{revision: m.Sequence}
	if m.Header.Get(headerOperation) == "" { // else a deletion
		k.place, k.sum = parsePlace(m.Header.Get(headerPlace)), sum(m.Data)
	}
	b.known[key] = k
}

// distrust forgets the places beyond the ledger's end, so that their values are
// replaced: no fold wrote them.
func (b *bucket) distrust(end uint64) {
	for key, k := range b.known {
		if k.place.sequence > end {
			k.place = place{}
			b.known[key] = k
		}
	}
}
