package rater_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater"
)

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// The bubble's horizon is short, so that few steps lead past it.
const (
	horizon  = 8 * time.Minute
	maxAhead = 10 * time.Second
)

// bubble is an installation of one partition on a simulated broker, in a bubble
// of testing/synctest: hours pass in no time.
type bubble struct {
	fataler
	server  *simulated.Server
	network *simulated.Network
	config  rater.Config
	held    *lease.Held
	log     *lines
	stop    func() // the rater; nil when there is none
}

func newBubble(t fataler, dir string) *bubble {
	b := &bubble{fataler: t, server: simulated.NewServer(), held: &lease.Held{}, log: &lines{}}
	b.server.Install(1)
	b.network = simulated.NewNetwork(b.server)
	b.config = rater.Config{
		Partitions: 1, Installation: "here", StateDir: filepath.Join(dir, "state"), Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Share: share{b.held}, Horizon: horizon, MaxAhead: maxAhead,
	}
	price := events.MustQuantity("1")
	card, err := json.Marshal(events.RateCard{Card: events.DefaultCard, Version: 1, Rules: []events.Rule{
		{Name: "all", Match: events.Match{Operation: "GET **"}, Price: events.Price{Flat: &price}},
	}})
	b.must(err)
	b.append("KV_"+events.BucketCatalog, stream.Append{Subject: "$KV." + events.BucketCatalog + ".ratecard.default.1", Data: card})
	return b
}

func (b *bubble) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%v", err)
	}
}

func (b *bubble) append(to string, a stream.Append) uint64 {
	b.Helper()
	sequence, err := b.server.Append(to, a)
	b.must(err)
	return sequence
}

// publish stores u, which happened some time before.
func (b *bubble) publish(u events.Usage) {
	b.Helper()
	body, err := events.AppendStructured(nil, u)
	b.must(err)
	b.append(events.StreamUsage, stream.Append{Subject: events.UsageSubject(u.Account), Data: body})
}

// event is one that happened some time ago.
func (b *bubble) event(id string, ago time.Duration) events.Usage {
	u := usage("acct", id)
	u.Time = time.Now().Add(-ago).UTC()
	return u
}

// start starts a rater and lets it do what it can.
func (b *bubble) start() {
	b.launch()
	b.drive()
}

// launch starts a rater on a connection of its own.
func (b *bubble) launch() {
	b.config.Broker = b.network.Connect("rater")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rater.New(b.config).Run(ctx) }()
	b.stop = func() {
		cancel()
		b.stop = nil
		b.drive()
		b.must(<-done)
	}
}

// steps lets so many things happen, if there are, without time passing.
func (b *bubble) steps(n int) {
	for range n {
		if synctest.Wait(); !b.network.Step() {
			return
		}
	}
}

// drive lets everything happen that can without time passing.
func (b *bubble) drive() {
	for synctest.Wait(); b.network.Step(); synctest.Wait() {
	}
}

// advance moves the bubble's clock on, which alone moves it. Nothing that has
// to be asked for happens meanwhile.
func (b *bubble) advance(d time.Duration) { time.Sleep(d) }

// pass lets time pass, with everything that is due in it.
func (b *bubble) pass(d time.Duration) {
	const step = 500 * time.Millisecond
	if b.stop == nil {
		b.advance(d)
		return
	}
	for ; d > 0; d -= step {
		b.advance(min(d, step))
		b.drive()
	}
}

// settle waits until the rater has settled all usage, and returns what the
// ledger says.
func (b *bubble) settle() settled {
	b.Helper()
	for range 200 {
		if s := b.settled(); s.totals().Through.Sequence == b.server.Last(events.StreamUsage) {
			return s
		}
		b.pass(time.Second)
	}
	b.Fatalf("the usage is not settled: %+v\n%s", b.held.Last(), b.log.text.String())
	return settled{}
}

// settled reads the ledger, in which no event is charged twice.
func (b *bubble) settled() settled {
	b.Helper()
	s := settled{debits: map[string]events.Debit{}}
	for _, m := range b.server.Messages(events.StreamLedger) {
		if m.Subject != events.LedgerSubject(0, events.WriterUsage) {
			continue
		}
		c, err := events.DecodeChunk(m.Data)
		b.must(err)
		s.spans = append(s.spans, *c.Span)
		for _, e := range c.Entries {
			if _, twice := s.debits[e.Debit.ID]; twice {
				b.Fatalf("event %s is charged twice\n%s", e.Debit.ID, b.log.text.String())
			}
			s.debits[e.Debit.ID] = *e.Debit
		}
	}
	return s
}

// deadLetters returns the reasons in DEADLETTER, in order.
func (b *bubble) deadLetters() (reasons []string) {
	b.Helper()
	for _, m := range b.server.Messages(events.StreamDeadLetter) {
		d, err := events.ParseDeadLetter(m.Header, m.Data, m.Sequence)
		b.must(err)
		reasons = append(reasons, d.Reason)
	}
	return reasons
}
