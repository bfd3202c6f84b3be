package rater_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// applyDearer applies a card, in force from now on, of which the first two
// searches of a billing period cost a tenth and later ones 1, and other calls 1
// for each of the first two tokens and 2 for later ones.
func (b *bubble) applyDearer() {
	b.Helper()
	end, cheap, dear, dearer := events.MustQuantity("2"), events.MustQuantity("0.1"), events.MustQuantity("1"), events.MustQuantity("2")
	card, err := json.Marshal(events.RateCard{Card: events.DefaultCard, Version: 2, EffectiveFrom: time.Now(), Rules: []events.Rule{
		{Name: "search", Match: events.Match{Operation: "GET **"}, Price: events.Price{Graduated: &events.Tiered{Quantity: "requests",
			Tiers: []events.PriceTier{{UpTo: &end, Price: cheap}, {Price: dear}}}}},
		{Name: "llm", Price: events.Price{Volume: &events.Tiered{Quantity: "tokens",
			Tiers: []events.PriceTier{{UpTo: &end, Price: dear}, {Price: dearer}}}}},
	}})
	b.must(err)
	b.append("KV_"+events.BucketCatalog, stream.Append{Subject: "$KV." + events.BucketCatalog + ".ratecard.default.2", Data: card})
}

// entry is one in the ledger that says what an event is charged.
type entry struct {
	place  events.LedgerPlace
	charge *events.Debit
}

// charges are what the ledger says of an event: its debit, and what stands now.
func (b *bubble) charges(id string) (first, stands entry, found bool) {
	b.Helper()
	for _, m := range b.server.Messages(events.StreamLedger) {
		c, err := events.DecodeChunk(m.Data)
		b.must(err)
		for i, e := range c.Entries {
			at := events.LedgerPlace{Sequence: m.Sequence, Index: i, StoredAt: m.Time}
			switch {
			case e.Debit != nil && e.Debit.ID == id:
				first, found = entry{at, e.Debit}, true
				stands = first
			case e.Correction != nil && e.Correction.ID == id:
				stands = entry{at, e.Correction.Now}
			}
		}
	}
	return first, stands, found
}

// correct appends a correction of an event, as a gateway does; nil makes it void.
func (b *bubble) correct(id string, now *events.Debit) {
	b.Helper()
	first, stands, found := b.charges(id)
	if !found || stands.charge == nil && now == nil {
		b.Fatalf("event %s has nothing to correct", id)
	}
	body, err := events.EncodeChunk(events.Chunk{Entries: []events.Entry{{Kind: events.EntryCorrection, Account: "acct", Correction: &events.Correction{
		Source: first.charge.Source, ID: id, First: first.place, Corrects: stands.place, Was: stands.charge, Now: now, Reason: "test",
	}}}})
	b.must(err)
	b.append(events.StreamLedger, stream.Append{Subject: events.CorrectionSubject(0, first.charge.Source, id), Data: body})
}

// asTokens is what the event of d is charged when it was a call of so many tokens.
func asTokens(d events.Debit, tokens int64) *events.Debit {
	d.Rule, d.Arithmetic = "llm", "amended"
	d.Data.Operation = "POST /llm"
	d.Data.Quantities = map[string]events.Quantity{"tokens": events.WholeQuantity(tokens)}
	d.Tiers = []events.Tier{{Part: events.PartVolume, Quantity: "tokens", Period: d.Tiers[0].Period, Amount: events.WholeQuantity(tokens)}}
	return &d
}

// tokens is a call of so many tokens that happens now.
func (b *bubble) tokens(id string, n int64) events.Usage {
	u := b.event(id, 0)
	u.Data = events.UsageData{Operation: "POST /llm", Quantities: map[string]events.Quantity{"tokens": events.WholeQuantity(n)}}
	return u
}

// charged settles an event and says what it costs, counted from where.
func (b *bubble) charged(u events.Usage) string {
	b.Helper()
	b.publish(u)
	d := b.settle().debits[u.ID]
	return d.Amount.String() + " from " + d.Tiers[0].Before.String()
}

func TestAVoidEventIsNotCountedWhateverHappens(t *testing.T) {
	t.Parallel()
	restart := func(b *bubble) { b.pass(3 * time.Second); b.stop() }
	for name, tc := range map[string]struct {
		before func(b *bubble) // the void
		after  func(b *bubble)
		want   string
	}{
		"to a rater that runs":        {nil, nil, "0.1 from 1"},
		"after a restart":             {nil, restart, "0.1 from 1"},
		"after a crash":               {nil, func(b *bubble) { b.stop() }, "0.1 from 1"},
		"that was stopped":            {restart, nil, "0.1 from 1"},
		"with an index that holds it": {nil, func(b *bubble) { restart(b); b.start(); restart(b) }, "0.1 from 1"},
		"with a lost folder":          {nil, func(b *bubble) { restart(b); b.must(os.RemoveAll(b.config.StateDir)) }, "0.1 from 1"},
		"that has taken over":         {nil, func(b *bubble) { b.stop(); b.config.StateDir += ".other" }, "0.1 from 1"},
		"that never knew of it":       {func(b *bubble) { restart(b); b.copyState("old") }, func(b *bubble) { b.useState("old") }, "0.1 from 1"},
		"when the ledger lost it": {nil, func(b *bubble) {
			b.pass(3 * time.Second)
			b.server.Rewind(events.StreamLedger, b.server.Last(events.StreamLedger)-1)
			b.pass(10 * time.Second)
		}, "1 from 2"},
		"when the ledger lost it while it was stopped": {nil, func(b *bubble) {
			restart(b)
			b.server.Rewind(events.StreamLedger, b.server.Last(events.StreamLedger)-1)
		}, "1 from 2"},
		"when the ledger lost all": {nil, func(b *bubble) {
			restart(b)
			b.server.Rewind(events.StreamLedger, 0)
		}, "1 from 2"},
		"when usage went back": {nil, func(b *bubble) {
			b.pass(3 * time.Second)
			b.server.Rewind(events.StreamUsage, 1)
			b.stopped()
			b.repair()
			b.pass(10 * time.Second)
		}, "0.1 from 1"},
		"long after, with a lost folder": {nil, func(b *bubble) {
			b.forgetIDs()
			b.must(os.RemoveAll(b.config.StateDir))
		}, "0.1 from 1"},
		"long after": {nil, func(b *bubble) { b.forgetIDs() }, "0.1 from 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				b.applyDearer()
				b.start()
				b.publish(b.event("a", 0))
				b.publish(b.event("b", 0))
				b.settle()
				if tc.before != nil {
					tc.before(b)
				}
				b.correct("a", nil)
				if b.stop == nil {
					b.start()
				}
				b.drive()
				if tc.after != nil {
					tc.after(b)
				}
				if b.stop == nil {
					b.start()
				}
				if got := b.charged(b.event("c", 0)); got != tc.want {
					t.Errorf("the next costs %s; want %s\n%s", got, tc.want, b.log.text.String())
				}
				b.stop()
			})
		})
	}
}

// copyState keeps what a stopped rater has on disk, and useState goes on with it.
func (b *bubble) copyState(as string) {
	b.Helper()
	b.must(os.CopyFS(filepath.Join(filepath.Dir(b.config.StateDir), as), os.DirFS(b.config.StateDir)))
}

func (b *bubble) useState(from string) {
	b.Helper()
	b.stop()
	b.config.StateDir = filepath.Join(filepath.Dir(b.config.StateDir), from)
}

// forgetIDs lets time pass until the ids of all events are forgotten, and an event
// that counts for nobody else is settled.
func (b *bubble) forgetIDs() {
	b.Helper()
	b.stop()
	b.advance(100 * horizon)
	b.start()
	other := b.event("other", 0)
	other.Account = "someone"
	b.publish(other)
	b.settle()
	b.pass(3 * time.Second)
	b.stop()
}

// holdAppends lets everything happen that can without time passing, but for
// appends.
func (b *bubble) holdAppends() {
	for {
		synctest.Wait()
		operations := slices.DeleteFunc(b.network.Operations(), (*simulated.Operation).Writes)
		deliveries := b.network.Deliveries()
		switch {
		case len(operations) > 0:
			operations[0].Perform()
			operations[0].Answer()
		case len(deliveries) > 0:
			deliveries[0].Deliver()
		default:
			return
		}
	}
}

// A correction that comes while a chunk is on its way is lost with the session,
// and must not be taken for counted when the index is moved meanwhile.
func TestACorrectionIsSavedWithWhatItCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, dir)
		b.applyDearer()
		b.start()
		b.publish(b.event("a", 0))
		b.settle()
		b.publish(b.event("b", 0))
		b.holdAppends()
		b.correct("a", nil)
		b.holdAppends()
		for range 3 {
			b.advance(time.Second)
			b.holdAppends()
		}
		b.stop()
		b.start()
		if got := b.charged(b.event("c", 0)); got != "0.1 from 1" {
			t.Errorf("the next costs %s; want 0.1 from 1", got)
		}
		b.stop()
	})
}

func TestAnAmendedEventCountsInTheCounterOfItsNewCharge(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"at once": false, "with a lost folder": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, dir)
				b.applyDearer()
				b.start()
				b.publish(b.event("a", 0))
				b.publish(b.event("b", 0))
				d := b.settle().debits["a"]
				b.correct("a", asTokens(d, 2))
				b.drive()
				again := func() {
					if b.pass(2 * time.Second); lost {
						b.stop()
						b.must(os.RemoveAll(b.config.StateDir))
						b.start()
					}
				}
				again()
				if got := b.charged(b.event("c", 0)); got != "0.1 from 1" {
					t.Errorf("the next search costs %s; want 0.1 from 1", got)
				}
				if got := b.charged(b.tokens("d", 1)); got != "2 from 2" {
					t.Errorf("the next token costs %s; want 2 from 2", got)
				}
				b.correct("a", asTokens(d, 5))
				b.correct("b", nil)
				b.correct("a", nil)
				d.ID = "b"
				b.correct("b", &d) // charged again
				b.drive()
				again()
				if got := b.charged(b.tokens("e", 1)); got != "1 from 1" {
					t.Errorf("the next token costs %s; want 1 from 1", got)
				}
				if got := b.charged(b.event("f", 0)); got != "1 from 2" {
					t.Errorf("the next search costs %s; want 1 from 2", got)
				}
				b.stop()
			})
		})
	}
}

// A correction that takes more out than was counted, which nobody writes who
// reads the ledger, leaves a counter at 0 and not below.
func TestACounterIsNeverReadBelowNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, dir)
		b.applyDearer()
		b.start()
		b.publish(b.tokens("a", 1))
		d := b.settle().debits["a"]
		b.correct("a", asTokens(d, 5))
		b.correct("a", nil)
		void := b.server.Messages(events.StreamLedger)[2]
		b.append(events.StreamLedger, stream.Append{Subject: void.Subject, Data: void.Data})
		b.drive()
		if got := b.charged(b.tokens("b", 1)); got != "1 from 0" {
			t.Errorf("the next token costs %s; want 1 from 0", got)
		}
		b.stop()
	})
}

func TestACorrectionThatCannotBeReadStopsThePartition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, dir)
		b.start()
		b.append(events.StreamLedger, stream.Append{Subject: events.CorrectionSubject(0, "/test", "a"), Data: []byte(`{"entries":[{"kind":"tick","account":"acct"}]}`)})
		if r := b.stopped(); r.Error != "message 1 of stream LEDGER: found an entry of kind tick; expected corrections alone" {
			t.Errorf("stopped by %q", r.Error)
		}
		b.stop()
	})
}

// TestCountersAreWhatTheLedgerAddsUpTo charges and corrects events in any order,
// of which things come to the rater in any order, takes its state away or back,
// and lets the ledger lose its end. Whenever all is settled, the next event counts
// from what debits and corrections in the ledger add up to.
func TestCountersAreWhatTheLedgerAddsUpTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		rapid.Check(noDeadline{t}, func(t *rapid.T) {
			runs++
			c := &corrected{history: &history{bubble: newBubble(t, fmt.Sprintf("%s/%d", dir, runs)), t: t}}
			c.must(os.MkdirAll(c.config.StateDir, 0o700))
			c.must(os.MkdirAll(c.older(), 0o700))
			c.applyDearer()
			c.start()
			for range rapid.IntRange(3, 9).Draw(t, "actions") {
				c.act()
			}
			c.probe()
			c.stop()
			c.must(os.RemoveAll(filepath.Dir(c.config.StateDir)))
		})
	})
}

// corrected is a history with corrections in it.
type corrected struct {
	*history
	known []string // events sent
}

func (c *corrected) act() {
	switch rapid.IntRange(0, 7).Draw(c.t, "action") {
	case 0, 1, 2:
		for range rapid.IntRange(1, 6).Draw(c.t, "messages") {
			if rapid.Bool().Draw(c.t, "corrects") {
				c.amend()
			} else {
				c.charge()
			}
			c.anyOrder(rapid.IntRange(0, 12).Draw(c.t, "steps"))
		}
	case 3:
		c.probe()
	case 4:
		c.advance(time.Second) // with things under way
		c.anyOrder(rapid.IntRange(0, 12).Draw(c.t, "steps"))
	case 5:
		c.loseState()
	case 6:
		c.crash()
	case 7:
		last := int(c.server.Last(events.StreamLedger))
		c.server.Rewind(events.StreamLedger, uint64(rapid.IntRange(max(0, last-4), last).Draw(c.t, "end of the ledger")))
		c.pass(10 * time.Second)
	}
}

// charge sends an event of either kind.
func (c *corrected) charge() {
	id := fmt.Sprint(len(c.known))
	u := c.event(id, 0)
	if rapid.Bool().Draw(c.t, "tokens") {
		u = c.tokens(id, rapid.Int64Range(1, 3).Draw(c.t, "how many"))
	}
	c.publish(u)
	c.known = append(c.known, id)
}

// amend corrects one of the events that are charged, if there is one.
func (c *corrected) amend() {
	if len(c.known) == 0 {
		return
	}
	id := rapid.SampledFrom(c.known).Draw(c.t, "event")
	first, stands, found := c.charges(id)
	switch {
	case !found:
	case stands.charge != nil && rapid.Bool().Draw(c.t, "void"):
		c.correct(id, nil)
	default:
		c.correct(id, asTokens(*first.charge, rapid.Int64Range(1, 3).Draw(c.t, "as many tokens")))
	}
}

// anyOrder lets so many things happen, each any of those that can.
func (c *corrected) anyOrder(n int) {
	for range n {
		synctest.Wait()
		operations, deliveries := c.network.Operations(), c.network.Deliveries()
		if len(operations)+len(deliveries) == 0 {
			return
		}
		i := rapid.IntRange(0, len(operations)+len(deliveries)-1).Draw(c.t, "next")
		if i >= len(operations) {
			deliveries[i-len(operations)].Deliver()
			continue
		}
		if o := operations[i]; o.Decided() {
			o.Answer()
		} else {
			o.Perform()
		}
	}
}

// probe settles everything and compares what the next event of each kind counts
// from with what the ledger adds up to.
func (c *corrected) probe() {
	c.drive()
	c.settle()
	c.pass(time.Second)
	for _, u := range []events.Usage{c.event(fmt.Sprintf("probe-%d", len(c.known)), 0), c.tokens(fmt.Sprintf("probe-%d-tokens", len(c.known)), 1)} {
		want := c.sums()
		c.publish(u)
		d := c.settle().debits[u.ID]
		tier := d.Tiers[0]
		if sum := want[tier.Quantity]; tier.Before.Rat().Cmp(sum) != 0 {
			c.Fatalf("%s of %s count from %s; the ledger adds up to %s\n%s", tier.Quantity, u.ID, tier.Before, sum.RatString(), c.log.text.String())
		}
		c.known = append(c.known, u.ID)
	}
}

// sums are what debits and corrections in the ledger counted, by quantity.
func (c *corrected) sums() map[string]*big.Rat {
	sums := map[string]*big.Rat{"requests": new(big.Rat), "tokens": new(big.Rat)}
	count := func(sign int64, d *events.Debit) {
		if d == nil {
			return
		}
		for _, t := range d.Tiers {
			sums[t.Quantity].Add(sums[t.Quantity], new(big.Rat).Mul(big.NewRat(sign, 1), t.Amount.Rat()))
		}
	}
	for _, m := range c.server.Messages(events.StreamLedger) {
		chunk, err := events.DecodeChunk(m.Data)
		c.must(err)
		for _, e := range chunk.Entries {
			if e.Correction != nil {
				count(-1, e.Correction.Was)
				count(1, e.Correction.Now)
			} else {
				count(1, e.Debit)
			}
		}
	}
	return sums
}
