package ledger_test

import (
	"cmp"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
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

// effective are the terms of account with a version of its plan: 1, 2, 3 …
func (n *naive) effective(account events.Account, version int) (terms events.Terms) {
	if version > 0 {
		terms = n.plans[account.Plan][version-1].Terms
	}
	if account.Period != "" {
		terms.Period = account.Period
	}
	if account.Grant != nil {
		terms.Grant = account.Grant
	}
	if len(account.Thresholds) > 0 {
		terms.Thresholds = account.Thresholds
	}
	if account.HardStopAt != nil {
		terms.HardStopAt = account.HardStopAt
	}
	if account.Overage != "" {
		terms.Overage = account.Overage
	}
	if account.OverageLimit != nil {
		terms.OverageLimit = account.OverageLimit
	}
	if account.PreserveOverage != nil {
		terms.PreserveOverage = account.PreserveOverage
	}
	if len(account.Budgets) > 0 {
		terms.Budgets = account.Budgets
	}
	if account.TopUp != nil {
		terms.TopUp = account.TopUp
	}
	if account.CaptureMore != nil {
		terms.CaptureMore = account.CaptureMore
	}
	if terms.TopUp != nil && terms.TopUp.AtMostPerPeriod == 0 {
		terms.TopUp = nil
	}
	return terms
}

func (n *naive) set(a *naiveAccount, account events.Account, cause events.Cause) string {
	if account.StartedAt.IsZero() && a.settings != nil {
		account.StartedAt = a.settings.StartedAt
	}
	if account.StartedAt.IsZero() {
		account.StartedAt = a.now
	}
	if _, ok := n.plans[account.Plan]; account.Plan != "" && !ok {
		return "refused not_found"
	}
	version := len(n.plans[account.Plan])
	fresh := n.effective(account, version)
	isSoft := fresh.Overage == "soft"
	if fresh.Grant != nil && fresh.Period == "" || isSoft && fresh.OverageLimit == nil || account.OverageLimit != nil && !isSoft ||
		fresh.Period == "" && slices.ContainsFunc(fresh.Budgets, func(b events.Budget) bool { return b.Per == "period" }) {
		return "refused invalid"
	}
	change := account.Change
	account.Change = ""
	same := a.settings != nil && reflect.DeepEqual(*a.settings, account)
	waited := a.waiting
	a.waiting = nil
	if change == "period_end" && a.period != nil && !same {
		a.waiting = &account
		if waited != nil && reflect.DeepEqual(*waited, account) {
			return "unchanged"
		}
		return "applied"
	}
	if same && waited == nil {
		return "unchanged"
	}
	stays := a.settings != nil && a.settings.Plan == account.Plan && a.settings.StartedAt.Equal(account.StartedAt) &&
		a.terms.Period == fresh.Period && grantText(a.terms) == grantText(fresh)
	if !stays && a.period != nil {
		a.expireOfPeriod(cause)
		a.lastEnd, a.period = a.now, nil
	}
	a.settings, a.taken = &account, version
	a.retake(fresh)
	a.retakeBudgets(cause)
	if !stays {
		a.plan(fresh)
		if change == "now_prorated" {
			a.share = naiveShare(fresh.Period, account.StartedAt, a.now)
		}
		n.pass(a, cause)
		a.share = nil
	}
	return "applied"
}

// grantText says what a plan issues each period, "" for nothing.
func grantText(t events.Terms) string {
	if t.Grant == nil || t.Period == "" {
		return ""
	}
	return fmt.Sprint(t.Grant.Amount, planPriority(t), carryOf(t.Grant))
}

// plan sets when the next period starts under the given terms.
func (a *naiveAccount) plan(terms events.Terms) {
	a.starts = time.Time{}
	if terms.Period != "" {
		a.starts = latest(a.now, a.settings.StartedAt)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// retake makes terms those in effect; levels written alike keep their state.
func (a *naiveAccount) retake(terms events.Terms) {
	texts := terms.Thresholds
	if len(texts) == 0 {
		texts = []string{"20%"}
	}
	var levels []events.Level
	for _, text := range texts {
		levels = append(levels, events.Level{Kind: events.SignalLow, Threshold: text})
	}
	levels = append(levels, naiveStops(terms)...)
	for i := range levels {
		for _, old := range a.levels {
			if old.Kind == levels[i].Kind && old.Threshold == levels[i].Threshold {
				levels[i] = old
			}
		}
	}
	a.terms, a.levels = terms, levels
}

// naiveStops are the levels behind the thresholds.
func naiveStops(terms events.Terms) []events.Level {
	started := events.Level{Kind: events.SignalOverageStarted, Threshold: "0"}
	if terms.Overage == "postpaid" {
		return []events.Level{started}
	}
	if terms.Overage == "soft" && terms.OverageLimit != nil {
		return []events.Level{started, {Kind: events.SignalExhausted, Threshold: "-" + terms.OverageLimit.String()}}
	}
	if terms.HardStopAt == nil {
		return []events.Level{{Kind: events.SignalExhausted, Threshold: "0"}}
	}
	return []events.Level{{Kind: events.SignalExhausted, Threshold: terms.HardStopAt.String()}}
}

func (a *naiveAccount) isReached(l events.Level) bool {
	limit, isLimit := strings.CutPrefix(l.Threshold, "-")
	switch {
	case l.Kind == events.SignalOverageStarted:
		return a.overage() > 0
	case isLimit:
		return a.overage() >= events.MustCredits(limit)
	}
	return a.available() <= a.levelAt(l.Threshold)
}

func (a *naiveAccount) levelAt(text string) events.Credits {
	number, percent := strings.CutSuffix(text, "%")
	amount := events.MustCredits(number)
	if !percent {
		return amount
	}
	share := new(big.Rat).SetFrac64(int64(amount), int64(100*events.Credit))
	share.Mul(share, new(big.Rat).SetInt64(int64(a.base())))
	return events.Credits(new(big.Int).Quo(share.Num(), share.Denom()).Int64())
}

func (a *naiveAccount) evaluate(cause events.Cause) {
	for i := range a.levels {
		l := &a.levels[i]
		if reached := a.isReached(*l); a.began && reached != l.Reached {
			l.Reached, l.Since = reached, &cause
		}
	}
}
