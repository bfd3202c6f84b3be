package ledger_test

import (
	"cmp"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// naive is the fold a second time, as plainly as can be: it keeps all grants,
// charges and commands for ever and works every number out anew from them.
type naive struct {
	plans    map[string][]naivePlan // as they ever stood
	now      time.Time              // of them
	accounts map[string]*naiveAccount
}

type naiveAccount struct {
	id       string
	point    ledger.Point // of the last entry
	now      time.Time
	grants   []*naiveGrant
	commands []events.Grant // those applied
	adjusted []events.Adjustment
	charges  []events.Credits
	debits   map[naivePlace]*naiveCharge
	workAt   map[naivePlace]int // of debits, in work
	settled  []naiveDraw        // of what was owed, oldest first
	debt     int                // the number of the one that runs, or the next
	owing    bool
	forgiven []events.Credits
	holds    []*naiveHold // ever placed
	work     []naiveWork  // ever charged
	budgets  []*naiveBudget
	topUps   []*naiveTopUp // ever requested
	settings *events.Account
	waiting  *events.Account
	taken    int          // of the versions of its plan
	share    *big.Rat     // of its grant that a period that starts now gets
	terms    events.Terms // in effect
	topped   events.Credits
	levels   []events.Level
	began    bool // granted or charged anything

	period    *events.Period
	starts    time.Time // of the next period; zero for never
	lastEnd   time.Time
	lastStart time.Time
	sameStart int
	planGrant *naiveGrant
	carried   *naiveGrant      // into the running period, beside the plan's grant
	carry     *events.Rollover // at the end of the running period
	follows   bool             // the next period follows one that ended
	start     naiveStart       // of the running period
}

type naiveGrant struct {
	turn int // how often it was renewed
	events.GrantBalance
	active                 bool
	drawn, expired, voided events.Credits
	granted                events.Credits // anew
	movedIn, movedOut      events.Credits // by rollover
	isVoid, forgotten      bool
	hasExpired             bool
	content                events.Grant // of one that a command issued
}

func (g *naiveGrant) left() events.Credits {
	return g.granted + g.movedIn - g.drawn - g.expired - g.voided - g.movedOut
}

// isOpen reports whether an active grant has something left or coming.
func (g *naiveGrant) isOpen() bool {
	comes := !g.RecursAt.IsZero() || g.content.Recurrence == "" && g.content.Rollover != nil && g.content.Rollover.Min > 0
	return g.active && !g.isVoid && !g.hasExpired && (g.left() > 0 || comes)
}

func newNaive() *naive {
	return &naive{plans: map[string][]naivePlan{}, accounts: map[string]*naiveAccount{}}
}

// apply folds one entry and returns the outcome with its code.
func (n *naive) apply(p ledger.Point, e events.Entry) string {
	if e.Kind == events.EntryPlan {
		return n.applyPlan(p, *e.Plan)
	}
	a := n.accounts[e.Account]
	if a == nil {
		a = &naiveAccount{id: e.Account, debits: map[naivePlace]*naiveCharge{}, workAt: map[naivePlace]int{}}
		a.retake(events.Terms{})
		n.accounts[e.Account] = a
	}
	a.point = p
	was := a.now
	if p.Time.After(a.now) {
		a.now = p.Time
	}
	cause := events.Cause{Sequence: p.Sequence, Index: p.Index, Kind: e.Kind, At: p.Time}
	switch e.Kind {
	case events.EntryDebit:
		cause.Source, cause.ID = e.Debit.Source, e.Debit.ID
	case events.EntryGrant:
		cause.ID = e.Grant.ID
	case events.EntryVoid:
		cause.ID = e.Void.Grant
	case events.EntryCorrection:
		cause.Source, cause.ID = e.Correction.Source, e.Correction.ID
	case events.EntryAdjust:
		cause.ID = e.Adjust.ID
	case events.EntryDecline:
		cause.ID = e.Decline.TopUp
	case events.EntryHold:
		cause.ID = e.Hold.ID
	case events.EntryCapture:
		cause.ID = e.Capture.Hold
	case events.EntryRelease:
		cause.ID = e.Release.Hold
	}
	n.catchUp(a, was, cause)
	outcome := n.entry(a, e, cause)
	a.evaluate(cause)
	a.assess(cause)
	a.requestTopUp(cause)
	return outcome
}

func (n *naive) entry(a *naiveAccount, e events.Entry, cause events.Cause) string {
	switch e.Kind {
	case events.EntryDebit:
		a.doWork(*e.Debit)
		a.charge(e.Debit.Amount)
	case events.EntryCorrection:
		return a.correct(*e.Correction)
	case events.EntryGrant:
		return a.issue(*e.Grant)
	case events.EntryVoid:
		return a.void(e.Void.Grant)
	case events.EntryAdjust:
		return a.adjust(*e.Adjust)
	case events.EntryDecline:
		return a.decline(e.Decline.TopUp)
	case events.EntryHold:
		return n.place(a, *e.Hold)
	case events.EntryCapture:
		return a.capture(*e.Capture)
	case events.EntryRelease:
		return a.release(e.Release.Hold)
	case events.EntryAccount:
		return n.set(a, *e.Settings, cause)
	}
	return "applied"
}

// cover lets active grants pay for whatever was charged and is not covered. It
// returns what each paid.
func (a *naiveAccount) cover() (paid []naiveDraw) {
	for a.overage() > 0 {
		active := a.drawable()
		if len(active) == 0 {
			break
		}
		amount := min(a.overage(), active[0].left())
		active[0].drawn += amount
		paid = append(paid, naiveDraw{active[0], amount, active[0].turn, 0})
	}
	a.count()
	return paid
}

func (a *naiveAccount) drawable() []*naiveGrant {
	var active []*naiveGrant
	for _, g := range a.grants { // in ledger order
		if g.active && g.left() > 0 {
			active = append(active, g)
		}
	}
	slices.SortStableFunc(active, func(g, h *naiveGrant) int {
		return cmp.Or(cmp.Compare(g.Priority, h.Priority), compareExpiry(g.ExpiresAt, h.ExpiresAt))
	})
	return active
}

func compareExpiry(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

func (a *naiveAccount) issue(g events.Grant) string {
	if g.Priority == nil {
		g.Priority = new(uint8(100))
	}
	if g.TopUp != "" {
		g.Source = cmp.Or(g.Source, events.SourceTopUp)
	}
	g.Source = cmp.Or(g.Source, events.SourcePrepaid)
	for _, known := range a.commands {
		if known.ID == g.ID {
			if reflect.DeepEqual(known, g) {
				return "unchanged"
			}
			return "refused conflict"
		}
	}
	if !g.ExpiresAt.IsZero() && (!g.ExpiresAt.After(a.now) || !g.ExpiresAt.After(g.EffectiveAt)) {
		return "refused invalid"
	}
	a.commands = append(a.commands, g)
	if g.EffectiveAt.IsZero() {
		g.EffectiveAt = a.now
	}
	issued := &naiveGrant{GrantBalance: events.GrantBalance{
		ID: g.ID, Amount: g.Amount, Priority: *g.Priority,
		EffectiveAt: g.EffectiveAt, ExpiresAt: g.ExpiresAt, Source: g.Source,
	}, granted: g.Amount, content: g}
	a.grants = append(a.grants, issued)
	a.began = true
	if !g.EffectiveAt.After(a.now) {
		a.activate(issued, a.now)
	}
	return "applied" + a.answer(g.TopUp)
}

func (a *naiveAccount) activate(g *naiveGrant, at time.Time) {
	g.active = true
	g.recurBehind(at)
	a.repay()
	if a.period != nil {
		a.period.Granted += g.Amount
	}
	a.topped = a.drawableSum()
}

func (a *naiveAccount) void(id string) string {
	for _, g := range a.grants {
		switch {
		case g.ID != id || g.forgotten:
		case g.isVoid:
			return "refused already_void"
		case !g.active:
			return "refused invalid"
		case !g.isOpen():
			return "refused spent"
		default:
			g.isVoid, g.voided = true, g.left()
			return "applied"
		}
	}
	return "refused not_found"
}
