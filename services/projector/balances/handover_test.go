package balances_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/projector/balances"
)

// The next holder starts from the snapshot of the one before: what came between
// is answered, and time passes on behind the ticks that the other appended.
func TestTheNextHolderGoesOnWhereTheOneBeforeLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var snapshots snapshot.Memory
	with := func(c *balances.Config) { c.Snapshots = &snapshots }
	p, stop := r.start(with)
	r.awaitReady(p)
	account := accountOf(1, 0)
	r.ask(shortGrant(account, 300*time.Millisecond))
	r.awaitBalance(account, func(b events.Balance) bool { return b.Expired > 0 })
	stop()

	inbox := nats.NewInbox()
	answers, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	second := grant(account, "second", "10")
	second.Grant.ExpiresAt = time.Now().Add(time.Second)
	asked := r.append(subjectOf(second), inbox, events.Chunk{Entries: []events.Entry{second}})
	p, _ = r.start(with)
	m, err := answers.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := decode[events.Decision](t, m.Data); d.Sequence != asked {
		t.Errorf("answered: %+v; want the decision on %d", d, asked)
	}
	r.awaitReady(p)
	r.awaitBalance(account, func(b events.Balance) bool { return b.Expired == events.MustCredits("20") })
	r.agree()
	if n := r.ticks(1); n != 2 {
		t.Errorf("%d messages of the clock for two expiries", n)
	}
}

// While a partition changes hands, two may work on it: one tick passes the
// fence, both answer at most, and no balance goes back.
func TestTwoHoldersOfOnePartitionDoNoMoreThanOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var snapshots snapshot.Memory
	with := func(c *balances.Config) { c.Snapshots = &snapshots }
	before, stop := r.start(with)
	r.awaitReady(before)
	account := accountOf(1, 9) // no traffic touches it
	r.ask(shortGrant(account, 500*time.Millisecond))
	next, _ := r.start(with) // before the other left
	r.traffic(1, 40)
	r.awaitReady(next)
	stop()
	r.traffic(2, 40)
	r.awaitBalance(account, func(b events.Balance) bool { return b.Expired > 0 })
	r.agree()
	if n := r.ticks(1); n != 1 {
		t.Errorf("%d messages of the clock for one expiry", n)
	}
}
