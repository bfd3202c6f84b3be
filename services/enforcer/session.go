package enforcer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

var (
	errInterrupted = errors.New("the connection to NATS was lost")
	errRewound     = errors.New("a stream lost its end or was made anew")
)

// session is one watch of BALANCES, for all partitions that are held. It ends
// when the connection does: a server that was killed may have lost the end of
// BALANCES or SIGNALS and give sequences out again.
type session struct {
	*Enforcer
	balancesMade, signalsMade time.Time
	seen                      stream.Mark // the newest balance that the watch brought
	through                   uint64      // everything there is up to here was seen, once caught up
	pending                   uint64      // balances behind it
	catchingUp                bool
	caughtUp                  chan error

	mu     sync.Mutex
	newest signalSeen
}

// signalSeen is the newest signal that was heard or published in a session.
type signalSeen struct {
	sequence uint64
	body     []byte
}

// session watches until something goes wrong or ctx ends.
func (e *Enforcer) session(ctx context.Context) error {
	s := &session{Enforcer: e, caughtUp: make(chan error, 1)}
	lost, unwatch := e.config.Broker.Interrupted()
	defer unwatch()
	balances, err := e.balances.State(ctx)
	if err != nil {
		return err
	}
	signals, err := e.signals.State(ctx)
	if err != nil {
		return err
	}
	s.balancesMade, s.signalsMade, s.through = balances.Created, signals.Created, balances.Last
	// What is there already is for the catching up.
	reader, err := e.balances.Read(ctx, stream.From{Sequence: balances.Last + 1})
	if err != nil {
		return err
	}
	defer reader.Close()
	news, err := e.signals.Read(ctx, stream.From{Sequence: signals.Last + 1})
	if err != nil {
		return err
	}
	defer news.Close()
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.gained(ctx, &running)
	return s.follow(ctx, reader, news, lost, &running)
}

// follow hands every balance and every signal to its partition as it is written.
// Signals are handed to one that has not begun, too: what it begins with may have
// been read before.
func (s *session) follow(ctx context.Context, reader, news *stream.Reader, lost <-chan struct{}, running *sync.WaitGroup) error {
	tick, look := time.NewTicker(tickPeriod), time.NewTicker(rewindPeriod)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case m := <-reader.Messages():
			s.seen, s.pending, s.through = stream.MarkOf(m), m.Pending, m.Sequence
			if p := s.of(keyOf(m)); p != nil && s.hasBegun(p) {
				p.hand(ctx, item{balance: &m})
			}
		case m := <-news.Messages():
			s.heard(m.Sequence, m.Data)
			if p := s.of(accountOf(m)); p != nil {
				p.hand(ctx, item{news: &m})
			}
		case <-s.changed:
			s.gained(ctx, running)
		case err := <-s.caughtUp:
			if err != nil {
				return err
			}
			s.catchingUp = false
			s.gained(ctx, running)
		case <-tick.C:
			for _, p := range s.partitions() {
				p.offer(item{tick: &tickMark{sequence: s.through, pending: s.pending}})
			}
		case <-look.C:
			if err := s.verify(ctx); err != nil {
				return err
			}
		case <-lost:
			return errInterrupted
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gained catches up with partitions that this session has not begun, all that
// there are at a time; the others go on meanwhile.
func (s *session) gained(ctx context.Context, running *sync.WaitGroup) {
	group := map[*partition]bool{}
	for _, p := range s.partitions() {
		if !s.hasBegun(p) {
			group[p] = true
		}
	}
	if s.catchingUp || len(group) == 0 {
		return
	}
	s.catchingUp = true
	running.Go(func() { s.caughtUp <- s.catchUp(ctx, group) })
}

// catchUp hands a group of partitions the last signals of their accounts and
// then all balances. From in between on they are handed what is written, too: a
// balance that comes late says nothing.
func (s *session) catchUp(ctx context.Context, group map[*partition]bool) error {
	for p := range group {
		p.hand(ctx, item{begin: s})
	}
	err := stream.Newest(ctx, s.signals, func(m stream.Message) error {
		s.heard(m.Sequence, m.Data)
		if p := s.of(accountOf(m)); group[p] {
			p.hand(ctx, item{signal: &m})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the last signals: %w", err)
	}
	for p := range group {
		p.hand(ctx, item{known: true})
	}
	s.begin(group)
	err = stream.Newest(ctx, s.balances, func(m stream.Message) error {
		if p := s.of(keyOf(m)); group[p] {
			p.hand(ctx, item{balance: &m})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read all balances: %w", err)
	}
	for p := range group {
		p.hand(ctx, item{complete: true})
	}
	return nil
}

// begin lets balances come to a group of partitions.
func (s *session) begin(group map[*partition]bool) {
	for p := range group {
		p.begun.Store(s)
	}
}

func (s *session) hasBegun(p *partition) bool { return p.begun.Load() == s }

// heard notes a signal that is in SIGNALS.
func (s *session) heard(sequence uint64, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence > s.newest.sequence {
		s.newest = signalSeen{sequence: sequence, body: body}
	}
}

// verify checks that the streams still hold what was read and written.
func (s *session) verify(ctx context.Context) error {
	balances, err := s.balances.State(ctx)
	if err != nil {
		return err
	}
	signals, err := s.signals.State(ctx)
	if err != nil {
		return err
	}
	if !balances.Created.Equal(s.balancesMade) || !signals.Created.Equal(s.signalsMade) {
		return errRewound
	}
	if err := s.seen.Verify(ctx, s.balances); err != nil {
		return err
	}
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	if newest.sequence == 0 {
		return nil
	}
	m, ok, err := s.signals.Get(ctx, newest.sequence)
	if err == nil && (!ok || !bytes.Equal(m.Data, newest.body)) {
		err = errRewound
	}
	return err
}

// keyOf is the key of a bucket's message: the account.
func keyOf(m stream.Message) string {
	return stream.BucketKey(events.BucketBalances, m.Subject)
}

// subjectOf is the subject of an account's balance.
func subjectOf(account string) string { return stream.BucketSubject(events.BucketBalances, account) }

// accountOf is whom a signal is about.
func accountOf(m stream.Message) string { return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:] }
