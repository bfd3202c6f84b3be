package emit

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// drainer delivers what the spool holds, oldest first and a segment at a time,
// whenever the stream takes it.
type drainer struct {
	emitter *Emitter
	spooler *spooler
	spool   *spool.Spool

	wake     chan struct{}
	done     chan struct{}
	verified bool // the stream is what the events were kept for

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when events left the spool
	failure   error         // why nothing is delivered at present
	delivered uint64
	late      uint64
	refused   uint64
}

func newDrainer(e *Emitter, s *spooler, verified bool) *drainer {
	d := &drainer{
		emitter: e, spooler: s, spool: s.spool, verified: verified,
		wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	s.notify = func() { signal(d.wake) }
	return d
}

// run drains until the Emitter stops.
func (d *drainer) run() {
	defer close(d.done)
	statuses := d.emitter.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer d.emitter.nc.RemoveStatusListener(statuses)
	for d.emitter.stopped.Err() == nil {
		if d.idle() {
			d.resume(false)
			d.pause(statuses, 0)
			continue
		}
		progress, err := d.step()
		d.fail(err)
		if !progress {
			for _, p := range d.emitter.partitions {
				p.stall()
			}
			d.pause(statuses, retryMax)
		}
	}
}

// step does the next thing there is to do, and reports whether it did.
func (d *drainer) step() (bool, error) {
	if d.emitter.nc.Status() != nats.CONNECTED {
		return false, errDisconnected
	}
	if !d.verified {
		if err := d.verify(); err != nil {
			return false, err
		}
		d.verified = true
	}
	d.resume(true)
	return d.round()
}

// idle reports that nothing is spooled or waits to be.
func (d *drainer) idle() bool {
	return d.spool.Stats().Bytes == 0 && d.spooler.stuck() == nil
}

// pause waits until there may be something to do, or for wait unless it is 0.
func (d *drainer) pause(statuses <-chan nats.Status, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		timer = time.After(wait)
	}
	select {
	case <-d.wake:
	case <-statuses:
	case <-timer:
	case <-d.emitter.stopped.Done():
	}
}

// verify checks that the stream is what the spool's events were kept for. A
// stream that does not tell is taken to be, unless the spool knows better.
func (d *drainer) verify() error {
	e := d.emitter
	asked, err := askUsage(e.stopped, e.js)
	remembered := d.spool.Description()
	if err != nil {
		if remembered.Installation == "" {
			e.opts.Log.Warn("usage stream not verified before the spool is delivered", "err", err)
			return nil
		}
		return err
	}
	if !compatible(asked, remembered) {
		return foreign(e.opts.Spool.Dir, d.spool.Stats().Events, remembered, asked)
	}
	return d.spool.Describe(asked)
}

// round delivers the oldest segment and removes it. It reports whether there
// was one.
func (d *drainer) round() (bool, error) {
	segment, err := d.spool.Oldest()
	if segment == nil || err != nil {
		return false, err
	}
	if d.spool.Stats().Events-len(segment.Records) <= len(segment.Records) {
		for _, p := range d.emitter.partitions {
			p.catchUp()
		}
	}
	d.noteLate(segment)
	queues := make(map[int][]item, len(segment.Counts))
	for _, r := range segment.Records {
		queues[r.Partition] = append(queues[r.Partition], item{raw: r.Event, time: r.Time})
	}
	var group sync.WaitGroup
	for index, n := range segment.Counts {
		p := d.emitter.partitions[index]
		p.read(n)
		group.Go(func() { d.deliver(p, queues[index]) })
	}
	group.Wait()
	if err := d.emitter.stopped.Err(); err != nil {
		return false, nil
	}
	err = d.spool.Remove(segment)
	d.removed()
	d.resume(false)
	return true, err
}

// removed tells that events have left the spool.
func (d *drainer) removed() {
	signal(d.spooler.room)
	d.mu.Lock()
	close(d.changed)
	d.changed = make(chan struct{})
	total := d.delivered
	d.mu.Unlock()
	if d.spool.Stats().Bytes == 0 {
		d.emitter.opts.Log.Info("spool is delivered", "events_so_far", total)
	}
}

// noteLate counts the events of segment that the rater will find too late.
func (d *drainer) noteLate(segment *spool.Segment) {
	horizon := time.Now().Add(-d.emitter.opts.Spool.Horizon)
	late := 0
	for _, r := range segment.Records {
		if r.Time.Before(horizon) {
			late++
		}
	}
	if late == 0 {
		return
	}
	d.mu.Lock()
	d.late += uint64(late)
	d.mu.Unlock()
	d.emitter.opts.Log.Warn("spooled events are older than the dedup horizon: they are sent, to be dead-lettered as too late",
		"events", late, "horizon", d.emitter.opts.Spool.Horizon)
}

// deliver publishes items of p in order, one message in flight, until all are
// stored or refused, or the Emitter stops.
func (d *drainer) deliver(p *partition, items []item) {
	e := d.emitter
	wait, most := retryMin, e.opts.MaxBatchEvents
	for len(items) > 0 {
		n := cut(items, most, e.messageMax())
		err := d.attempt(p, items[:n])
		switch {
		case e.stopped.Err() != nil:
			return
		case err == nil:
			items, most, wait = items[n:], e.opts.MaxBatchEvents, retryMin
			d.stored(n)
			continue
		case tooLarge(err) && n > 1:
			most = n / 2
			continue
		case tooLarge(err):
			if err = d.refuse(items[0], err); err == nil {
				items = items[1:]
				continue
			}
		}
		d.fail(err)
		p.fail()
		select {
		case <-time.After(wait):
		case <-e.stopped.Done():
			return
		}
		wait = min(2*wait, retryMax)
	}
	p.delivered()
	d.emitter.start(p, false)
}

// stored notes that n events of the spool are stored.
func (d *drainer) stored(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delivered += uint64(n)
	d.failure = nil
}

// attempt publishes items as one message and awaits its acknowledgement.
func (d *drainer) attempt(p *partition, items []item) error {
	attempt, err := d.emitter.publish(p.subject, items)
	if err != nil {
		return err
	}
	select {
	case <-attempt.Ok():
		return nil
	case err := <-attempt.Err():
		return err
	case <-d.emitter.stopped.Done():
		return ErrUnacknowledged
	}
}

// refuse sets an event aside that the server will never take.
func (d *drainer) refuse(it item, reason error) error {
	if err := d.spool.Refuse(it.raw); err != nil {
		return err
	}
	d.emitter.opts.Log.Error("event refused by the server, set aside in the spool's folder", "bytes", len(it.raw), "err", reason)
	d.mu.Lock()
	d.refused++
	d.mu.Unlock()
	return nil
}

// resume starts senders for what waited for the spool.
func (d *drainer) resume(recall bool) {
	for _, p := range d.emitter.partitions {
		d.emitter.start(p, recall && d.spooler.stuck() != nil)
	}
}

// fail notes why nothing is delivered at present, nil when something is, and
// logs it when it is another reason than before.
func (d *drainer) fail(err error) {
	d.mu.Lock()
	was := d.failure
	d.failure = err
	d.mu.Unlock()
	news := err != nil && (was == nil || was.Error() != err.Error())
	if news && d.emitter.stopped.Err() == nil {
		d.emitter.opts.Log.Warn("spool is not delivered", "err", err)
	}
}

// await waits until the spool is empty.
func (d *drainer) await(ctx context.Context) error {
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		if d.spool.Stats().Events == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return ErrClosed
		}
	}
}
