package emit

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// spoolBatchMax bounds the events that share one sync, and so the memory they
// take once more while they are written.
const spoolBatchMax = 4096

// spooler puts events into the spool, as many at a time as have gathered while
// the ones before were synced.
type spooler struct {
	spool  *spool.Spool
	settle func(items []item, spooled bool, err error)
	notify func() // tells that the spool has events, or takes none
	log    *slog.Logger

	arrived chan struct{} // there is something to write
	room    chan struct{} // a segment was removed
	closing chan struct{}
	done    chan struct{}

	mu      sync.Mutex // after partition.mu
	waiting []destined
	writing bool  // some are in the writer's hands, ahead of those waiting
	failure error // why the last ones could not be written
	total   uint64
	lost    int // events that were not kept when the Emitter was closed
}

// destined is an event on its way to the spool.
type destined struct {
	item
	partition *partition
}

func newSpooler(s *spool.Spool, settle func([]item, bool, error), log *slog.Logger) *spooler {
	return &spooler{
		spool: s, settle: settle, log: log, arrived: make(chan struct{}, 1), room: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
}

// put queues items of p behind all others. The caller holds p.mu.
func (s *spooler) put(p *partition, items []item) {
	if len(items) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		s.waiting = append(s.waiting, destined{it, p})
	}
	signal(s.arrived)
}

// signal wakes whoever waits on c, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// recall takes back what waits of p, in order. The caller holds p.mu. It
// returns nothing while some may be being written.
func (s *spooler) recall(p *partition) (items []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing || s.failure == nil {
		return nil
	}
	others := s.waiting[:0]
	for _, d := range s.waiting {
		if d.partition == p {
			items = append(items, d.item)
		} else {
			others = append(others, d)
		}
	}
	clear(s.waiting[len(others):])
	s.waiting = others
	return items
}

// run writes until finish, and then whatever can still be written.
func (s *spooler) run() {
	defer close(s.done)
	for {
		taken, finishing := s.take()
		if len(taken) == 0 {
			if finishing {
				return
			}
			select {
			case <-s.arrived:
			case <-s.closing:
			}
			continue
		}
		if err := s.write(taken); err == nil {
			continue
		} else if finishing {
			s.giveUp(err)
			return
		}
		select {
		case <-s.room:
		case <-time.After(deadlineGrain):
		case <-s.closing:
		}
	}
}

// take hands out the next events to write.
func (s *spooler) take() (taken []destined, finishing bool) {
	select {
	case <-s.closing:
		finishing = true
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), spoolBatchMax)
	taken, s.waiting = s.waiting[:n:n], s.waiting[n:]
	s.writing = n > 0
	return taken, finishing
}

// write appends taken to the spool. What could not be written waits again, in
// front of all others, unless its time is up.
func (s *spooler) write(taken []destined) error {
	now := time.Now()
	records := make([]spool.Record, len(taken))
	for i, d := range taken {
		records[i] = spool.Record{Partition: d.partition.index, Kept: now, Time: d.time, Event: d.raw}
	}
	before := s.spool.Stats().Events
	n, err := s.spool.Append(records)
	if before == 0 && n > 0 {
		s.log.Warn("events are spooled: the stream does not take them", "events", n)
	}
	kept := make([]item, n)
	for i, d := range taken[:n] {
		d.partition.moved(1, 1)
		kept[i] = d.item
	}
	s.mu.Lock()
	s.total += uint64(n)
	s.mu.Unlock()
	s.settle(kept, true, nil)
	s.wrote(taken[n:], err)
	if err != nil {
		s.expire(time.Now(), err)
	}
	s.notify()
	return err
}

// wrote ends a write of which rest is left.
func (s *spooler) wrote(rest []destined, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (err == nil) != (s.failure == nil) {
		if err != nil {
			s.log.Error("spool takes no events", "err", err)
		} else {
			s.log.Info("spool takes events again")
		}
	}
	s.failure = err
	s.writing = false
	if len(rest) > 0 {
		s.waiting = append(rest, s.waiting...)
	}
}

// expire fails what waits and whose deadline has passed.
func (s *spooler) expire(now time.Time, reason error) {
	s.fail(func(d destined) bool { return !now.Before(d.deadline) }, fmt.Errorf("%w: spool it: %w", ErrUnacknowledged, reason))
}

// giveUp fails all that waits.
func (s *spooler) giveUp(reason error) {
	n := s.fail(func(destined) bool { return true }, fmt.Errorf("%w: spool it: %w", ErrUnacknowledged, reason))
	s.mu.Lock()
	s.lost += n
	s.mu.Unlock()
}

func (s *spooler) fail(which func(destined) bool, err error) int {
	s.mu.Lock()
	var failed []destined
	var others []destined
	for _, d := range s.waiting {
		if which(d) {
			failed = append(failed, d)
		} else {
			others = append(others, d)
		}
	}
	if len(failed) > 0 {
		s.waiting = others
	}
	s.mu.Unlock()
	items := make([]item, len(failed))
	for i, d := range failed {
		d.partition.moved(1, 0)
		items[i] = d.item
	}
	s.settle(items, false, err)
	return len(failed)
}

// stuck returns why events wait that cannot be spooled, nil when none do.
func (s *spooler) stuck() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	return s.failure
}

// finish writes what waits, as far as the disk takes it, and gives the folder
// back. It returns an error when events were lost that way. Nothing may be put
// any more.
func (s *spooler) finish() error {
	close(s.closing)
	<-s.done
	err := s.spool.Close()
	if s.lost > 0 {
		err = errors.Join(fmt.Errorf("%d events are not kept: %w", s.lost, s.failure), err)
	}
	return err
}
