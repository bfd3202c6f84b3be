package balances

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

const (
	batchMax      = 256     // messages folded before the buckets are written
	batchBytesMax = 4 << 20 // the same in bytes, exceeded by the last message alone
	flushMax      = 1024    // values encoded at a time
	checkMax      = 64      // the same between two batches, of values that need not change
)

// partition is the projection of one partition for as long as it is held. Its
// goroutine alone touches it, but for status.
type partition struct {
	*fold
	config   *Config
	held     *lease.Held
	scanner  *scanner
	ledger   stream.Log
	balances *bucket
	catalog  *bucket
	clock    clock
	status   status

	complaint string       // the last reason to follow again
	resumes   lease.Report // what is reported when a bucket takes values again

	unchecked []string      // accounts whose values stand where they should
	always    chan struct{} // closed

	verified stream.Mark // that the ledger held when it was last looked at
	suspect  *suspect    // why the partition stopped, if it is a value

	saved        stream.Mark // of the last snapshot
	savedEntries uint64      // folded by then
	savedAt      time.Time
	saves        chan struct{} // taken while one is saved
	saving       sync.WaitGroup
	unsaved      atomic.Bool // it failed

	folded  prometheus.Counter
	lag     prometheus.Gauge
	stopped prometheus.Gauge
}

func (projector *Projector) newPartition(held *lease.Held) *partition {
	c, m := &projector.config, projector.metrics
	label := strconv.Itoa(held.Partition)
	p := &partition{
		fold:    newFold(held.Partition, c.Partitions),
		config:  c,
		held:    held,
		scanner: &projector.scanner,
		ledger:  c.Broker.Log(events.StreamLedger),
		status:  status{Status: Status{Partition: held.Partition}},
		always:  make(chan struct{}),
		savedAt: c.Now(),
		saves:   projector.saves,
		folded:  m.entries.WithLabelValues(label),
		lag:     m.lag.WithLabelValues(label),
		stopped: m.stopped.WithLabelValues(label),
	}
	p.balances, p.catalog = p.bucket(events.BucketBalances, m), p.bucket(events.BucketCatalog, m)
	close(p.always)
	p.stopped.Set(0)
	return p
}

// bucket is one that the partition writes. While it cannot, it reports so.
func (p *partition) bucket(name string, m *metrics) *bucket {
	return &bucket{
		log: p.config.Broker.Log(stream.BucketLog(name)), name: name, puts: m.puts.WithLabelValues(name),
		tell: func(err error) {
			logRefusal(p.config.Logger, p.number, name, err)
			if err != nil {
				p.resumes = p.held.Last()
				p.report(lease.StateRetrying, p.resumes.Lag, err)
				return
			}
			p.held.Report(p.resumes)
		},
	}
}

// logRefusal says that a bucket takes no values, or with no error that it does
// again.
func logRefusal(to *slog.Logger, partition int, bucket string, err error) {
	if err != nil {
		to.Warn("values are refused and tried again", "partition", partition, "bucket", bucket, "err", err)
		return
	}
	to.Info("values are taken again", "partition", partition, "bucket", bucket)
}

// run follows the ledger until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer p.saving.Wait()
	for ctx.Err() == nil {
		p.report(lease.StateStarting, 0, nil)
		err := p.follow(ctx)
		live := p.status.get().Live
		p.status.update(func(s *Status) { s.Live = false })
		var unreadable *unreadableError
		var rewound *stream.RewindError
		switch {
		case ctx.Err() != nil && live:
			p.leave(ctx)
		case ctx.Err() != nil:
		case errors.As(err, &unreadable):
			p.stop(err, unreadable.sequence)
			<-ctx.Done()
		case errors.As(err, &rewound):
			p.stop(err, rewound.Mark.Sequence)
			_ = p.awaitMended(ctx) // or until ctx ends
		default:
			p.complain(err, live)
			p.report(lease.StateRetrying, 0, err)
			_ = pause.For(ctx, retryDelay)
		}
	}
}

// complain says why the partition starts to follow again, once while it stays
// the same.
func (p *partition) complain(err error, live bool) {
	if text := err.Error(); live || text != p.complaint {
		p.complaint = text
		p.config.Logger.Warn("partition starts to follow again", "partition", p.number, "err", err)
	}
}

// stop says that the partition does not go on, and why.
func (p *partition) stop(err error, sequence uint64) {
	p.stopped.Set(1)
	p.status.update(func(s *Status) { s.Live, s.Err = false, err })
	p.report(lease.StateStopped, 0, err)
	p.config.Logger.Error("partition stopped", "partition", p.number, "seq", sequence, "err", err)
}

// report tells drawdown status how the partition stands.
func (p *partition) report(state string, lag uint64, err error) {
	r := lease.Report{State: state, Sequence: p.mark.Sequence, Lag: lag, Accounts: int64(p.state.Len())}
	if err != nil {
		r.Error = err.Error()
	}
	p.held.Report(r)
}

// follow folds from where the fold stands: first up to the end of the ledger,
// writing nothing; then it brings the buckets in step, and from there on keeps
// them so.
func (p *partition) follow(ctx context.Context) error {
	lost, quiet := p.config.Broker.Interrupted()
	defer quiet()
	if err := p.verifyFold(ctx); err != nil {
		return err
	}
	scan := p.scanner.request(p.number)
	if p.mark.Sequence == 0 {
		if err := p.restore(ctx); err != nil {
			return err
		}
	}
	reader, err := p.ledger.Read(ctx, stream.From{Sequence: p.mark.Sequence + 1}, events.PartitionLedgerSubjects(p.number)...)
	if err != nil {
		return err
	}
	defer reader.Close()
	unreadable, err := p.catchUp(ctx, reader, lost)
	if err != nil {
		return err
	}
	if err := p.adopt(ctx, scan); err != nil {
		return err
	}
	if err := p.reconcile(ctx); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	p.status.update(func(s *Status) { s.Live = true })
	p.report(lease.StateLive, 0, nil)
	return p.live(ctx, reader, lost)
}

// catchUp folds up to where the ledger ends now. It returns apart the error of
// a message that is not the ledger's: what came before it is folded.
func (p *partition) catchUp(ctx context.Context, reader *stream.Reader, lost <-chan struct{}) (unreadable, err error) {
	end, err := p.end(ctx)
	if err != nil {
		return nil, err
	}
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	for p.mark.Sequence < end && unreadable == nil {
		// Accounts may be due long since, and nobody ticks before the fold is live.
		batch, err := p.receive(ctx, reader, wakes{lost: lost, verify: verify.C})
		if err != nil {
			return nil, err
		}
		unreadable = p.apply(lease.StateStarting, batch)
	}
	return unreadable, nil
}

// end is the sequence of the partition's last LEDGER message. It also notes,
// the first time, which commands are recent enough to be answered.
func (p *partition) end(ctx context.Context) (uint64, error) {
	state, err := p.ledger.State(ctx)
	if err != nil {
		return 0, err
	}
	p.fold.begin(state.Now.Add(-p.config.AnswerWithin))
	var end uint64
	for _, subject := range events.PartitionLedgerSubjects(p.number) {
		m, ok, err := p.ledger.Last(ctx, subject)
		if err != nil {
			return 0, err
		}
		if ok {
			end = max(end, m.Sequence)
		}
	}
	return end, nil
}

// adopt takes over what a scan found in the buckets, if it was built on this
// ledger.
func (p *partition) adopt(ctx context.Context, s *scan) error {
	select {
	case <-s.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.err != nil {
		return s.err
	}
	p.balances.known, p.catalog.known = s.balances[p.number], s.catalog[p.number]
	return p.verifyBuckets(ctx)
}

// live folds what comes. While the puts of one batch wait for their acks the
// next batch fills, so puts are coalesced just as much as there is traffic.
func (p *partition) live(ctx context.Context, reader *stream.Reader, lost <-chan struct{}) error {
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	for {
		if err := p.tick(ctx); err != nil {
			return err
		}
		batch, err := p.next(ctx, reader, lost, verify.C)
		if err != nil {
			return err
		}
		unreadable := p.apply(lease.StateLive, batch)
		if err := p.flush(ctx); err != nil {
			return err
		}
		if unreadable != nil {
			return unreadable
		}
		if err := p.check(ctx); err != nil {
			return err
		}
		p.saveWhenDue(ctx)
	}
}

// next waits for messages, at most until it is time to look at the clock. It
// does not wait while there is something to check.
func (p *partition) next(ctx context.Context, reader *stream.Reader, lost <-chan struct{}, verify <-chan time.Time) ([]stream.Message, error) {
	w := wakes{lost: lost, verify: verify}
	if d, ok := p.clock.until(p.state, p.config.Now()); ok {
		timer := time.NewTimer(d)
		defer timer.Stop()
		w.due = timer.C
	}
	if len(p.unchecked) > 0 {
		w.idle = p.always
	}
	return p.receive(ctx, reader, w)
}

// wakes end a wait for messages; nil ones never do.
type wakes struct {
	lost   <-chan struct{}  // the connection
	verify <-chan time.Time // whether the ledger still holds what was folded
	due    <-chan time.Time // the clock
	idle   <-chan struct{}  // something else can be done
}

// receive waits for messages or another reason to wake. Something else is done
// only when no message is there.
func (p *partition) receive(ctx context.Context, reader *stream.Reader, w wakes) ([]stream.Message, error) {
	if w.idle != nil {
		select {
		case m := <-reader.Messages():
			return gather(m, reader), nil
		default:
		}
	}
	select {
	case m := <-reader.Messages():
		return gather(m, reader), nil
	case <-w.idle:
		return nil, nil
	case <-w.due:
		return nil, nil
	case <-w.verify:
		return nil, p.verifyFold(ctx)
	case <-w.lost:
		return nil, errInterrupted
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// gather adds to a message those that are there already.
func gather(first stream.Message, reader *stream.Reader) []stream.Message {
	batch := []stream.Message{first}
	for bytes := len(first.Data); len(batch) < batchMax && bytes < batchBytesMax; {
		select {
		case m := <-reader.Messages():
			batch = append(batch, m)
			bytes += len(m.Data)
		default:
			return batch
		}
	}
	return batch
}

// apply folds a batch up to a message that is not the ledger's.
func (p *partition) apply(state string, batch []stream.Message) error {
	entries := p.entries
	defer func() { p.folded.Add(float64(p.entries - entries)) }()
	for _, m := range batch {
		if err := p.message(m); err != nil {
			return err
		}
		if m.Subject == events.LedgerSubject(p.number, events.WriterClock) {
			p.clock.back(m, p.state, p.config.Now())
		}
	}
	if len(batch) > 0 {
		lag := batch[len(batch)-1].Pending
		p.lag.Set(float64(lag))
		p.report(state, lag, nil)
		p.status.update(func(s *Status) { s.Sequence = p.mark.Sequence })
	}
	return nil
}

// status is a Status that other goroutines read.
type status struct {
	mu sync.Mutex
	Status
}

func (s *status) get() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Status
}

func (s *status) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.Status)
}
