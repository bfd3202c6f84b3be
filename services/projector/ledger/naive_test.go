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
	plans    map[string]events.Plan
	accounts map[string]*naiveAccount
}

type naiveAccount struct {
	id       string
	point    ledger.Point // of the last entry
	now      time.Time
	grants   []*naiveGrant
	commands []events.Grant // those applied
	charges  []events.Credits
	forgiven []events.Credits
	settings *events.Account
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
}

type naiveGrant struct {
	events.GrantBalance
	active                 bool
	drawn, expired, voided events.Credits
	isVoid, forgotten      bool
}

func (g *naiveGrant) left() events.Credits { return g.Amount - g.drawn - g.expired - g.voided }

func newNaive() *naive {
	return &naive{plans: map[string]events.Plan{}, accounts: map[string]*naiveAccount{}}
}

// apply folds one entry and returns the outcome with its code.
func (n *naive) apply(p ledger.Point, e events.Entry) string {
	if e.Kind == events.EntryPlan {
		if known, ok := n.plans[e.Plan.Plan]; ok && reflect.DeepEqual(known, *e.Plan) {
			return "unchanged"
		}
		n.plans[e.Plan.Plan] = *e.Plan
		return "applied"
	}
	a := n.accounts[e.Account]
	if a == nil {
		a = &naiveAccount{id: e.Account}
		a.retake(events.Terms{})
		n.accounts[e.Account] = a
	}
	a.point = p
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
	}
	if a.settings != nil {
		fresh := n.effective(*a.settings)
		if a.period == nil && (fresh.Period == "") != (a.terms.Period == "") {
			a.plan(fresh)
		}
		a.retake(fresh)
	}
	a.pass(cause)
	outcome := n.entry(a, e, cause)
	a.evaluate(cause)
	return outcome
}

func (n *naive) entry(a *naiveAccount, e events.Entry, cause events.Cause) string {
	switch e.Kind {
	case events.EntryDebit:
		a.charges = append(a.charges, e.Debit.Amount)
		a.began = a.began || e.Debit.Amount > 0
		a.cover()
	case events.EntryGrant:
		return a.issue(*e.Grant)
	case events.EntryVoid:
		return a.void(e.Void.Grant)
	case events.EntryAccount:
		return n.set(a, *e.Settings, cause)
	}
	return "applied"
}

// cover lets active grants pay for whatever was charged and is not covered.
func (a *naiveAccount) cover() {
	for a.overage() > 0 {
		active := a.drawable()
		if len(active) == 0 {
			return
		}
		active[0].drawn += min(a.overage(), active[0].left())
	}
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
	}}
	a.grants = append(a.grants, issued)
	a.began = true
	if !g.EffectiveAt.After(a.now) {
		a.activate(issued)
	}
	return "applied"
}

func (a *naiveAccount) activate(g *naiveGrant) {
	g.active = true
	a.cover()
	if a.period != nil {
		a.period.Granted += g.Amount
	}
	a.topped = a.available()
}

func (a *naiveAccount) void(id string) string {
	for _, g := range a.grants {
		switch {
		case g.ID != id || g.forgotten:
		case g.isVoid:
			return "refused already_void"
		case g.left() == 0:
			return "refused spent"
		case !g.active:
			return "refused invalid"
		default:
			g.isVoid, g.voided = true, g.left()
			return "applied"
		}
	}
	return "refused not_found"
}

func (n *naive) effective(account events.Account) events.Terms {
	terms := n.plans[account.Plan].Terms
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
	fresh := n.effective(account)
	if fresh.Grant != nil && fresh.Period == "" {
		return "refused invalid"
	}
	if a.settings != nil && reflect.DeepEqual(*a.settings, account) {
		return "unchanged"
	}
	stays := a.settings != nil && a.settings.Plan == account.Plan && a.settings.StartedAt.Equal(account.StartedAt) &&
		a.terms.Period == fresh.Period && grantText(a.terms) == grantText(fresh)
	if !stays && a.period != nil {
		if g := a.planGrant; g != nil && g.left() > 0 {
			g.expired = g.left()
			a.evaluate(cause)
		}
		a.lastEnd, a.period = a.now, nil
	}
	a.settings = &account
	a.retake(fresh)
	if !stays {
		a.plan(fresh)
		a.pass(cause)
	}
	return "applied"
}

// grantText says what a plan issues each period, "" for nothing.
func grantText(t events.Terms) string {
	if t.Grant == nil || t.Period == "" {
		return ""
	}
	priority := uint8(100)
	if t.Grant.Priority != nil {
		priority = *t.Grant.Priority
	}
	return fmt.Sprint(t.Grant.Amount, priority)
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
	var hardStop events.Credits
	if terms.HardStopAt != nil {
		hardStop = *terms.HardStopAt
	}
	var levels []events.Level
	for _, text := range texts {
		levels = append(levels, events.Level{Kind: events.SignalLow, Threshold: text})
	}
	levels = append(levels, events.Level{Kind: events.SignalExhausted, Threshold: hardStop.String()})
	for i := range levels {
		for _, old := range a.levels {
			if old.Kind == levels[i].Kind && old.Threshold == levels[i].Threshold {
				levels[i] = old
			}
		}
	}
	a.terms, a.levels = terms, levels
}

func (a *naiveAccount) levelAt(text string) events.Credits {
	number, percent := strings.CutSuffix(text, "%")
	amount := events.MustCredits(number)
	if !percent {
		return amount
	}
	base := a.topped
	if a.period != nil {
		base = a.period.Granted
	}
	share := new(big.Rat).SetFrac64(int64(amount), int64(100*events.Credit))
	share.Mul(share, new(big.Rat).SetInt64(int64(base)))
	return events.Credits(new(big.Int).Quo(share.Num(), share.Denom()).Int64())
}

func (a *naiveAccount) evaluate(cause events.Cause) {
	for i := range a.levels {
		l := &a.levels[i]
		if reached := a.available() <= a.levelAt(l.Threshold); a.began && reached != l.Reached {
			l.Reached, l.Since = reached, &cause
		}
	}
}

// pass does what is due one by one: always the earliest, at one instant in the
// documented order.
func (a *naiveAccount) pass(cause events.Cause) {
	for {
		type due struct {
			at   time.Time
			rank int
			do   func(at time.Time)
		}
		var all []due
		for _, g := range a.grants {
			switch {
			case g.active && g.left() > 0 && !g.ExpiresAt.IsZero():
				all = append(all, due{g.ExpiresAt, 0, func(time.Time) { g.expired = g.left(); a.evaluate(cause) }})
			case !g.active:
				all = append(all, due{g.EffectiveAt, 3, func(time.Time) { a.activate(g); a.evaluate(cause) }})
			}
		}
		if a.period != nil {
			all = append(all, due{a.period.End, 1, func(at time.Time) { a.endPeriod(at, cause) }})
		} else if !a.starts.IsZero() {
			all = append(all, due{a.starts, 2, func(at time.Time) { a.startPeriod(at, cause) }})
		}
		all = slices.DeleteFunc(all, func(d due) bool { return d.at.After(a.now) })
		if len(all) == 0 {
			return
		}
		first := slices.MinFunc(all, func(d, e due) int { return cmp.Or(d.at.Compare(e.at), cmp.Compare(d.rank, e.rank)) })
		first.do(first.at)
	}
}

func (a *naiveAccount) endPeriod(at time.Time, cause events.Cause) {
	if owed := a.overage(); owed > 0 {
		a.forgiven = append(a.forgiven, owed)
		a.evaluate(cause)
	}
	a.period, a.lastEnd, a.starts = nil, at, time.Time{}
	if a.terms.Period != "" {
		a.starts = at
	}
}

func (a *naiveAccount) startPeriod(at time.Time, cause events.Cause) {
	i := 0
	for !naiveBoundary(a.settings.StartedAt, a.terms.Period, i+1).After(a.now) {
		i++
	}
	start := latest(naiveBoundary(a.settings.StartedAt, a.terms.Period, i), a.lastEnd)
	if start.After(at) {
		a.starts = start
		return
	}
	a.sameStart++
	if start.After(a.lastStart) {
		a.sameStart = 1
	}
	a.lastStart = start
	a.period = &events.Period{Start: start, End: naiveBoundary(a.settings.StartedAt, a.terms.Period, i+1)}
	if a.planGrant != nil {
		a.planGrant.forgotten, a.planGrant = true, nil
	}
	if a.terms.Grant != nil {
		priority := uint8(100)
		if a.terms.Grant.Priority != nil {
			priority = *a.terms.Grant.Priority
		}
		id := fmt.Sprintf("plan:%s:%s", a.settings.Plan, start.Format(time.RFC3339Nano))
		if a.sameStart > 1 {
			id += fmt.Sprintf(":%d", a.sameStart)
		}
		a.planGrant = &naiveGrant{GrantBalance: events.GrantBalance{
			ID: id, Amount: a.terms.Grant.Amount, Priority: priority,
			EffectiveAt: start, ExpiresAt: a.period.End, Source: events.SourcePlan,
		}}
		a.began = true
		a.grants = append(a.grants, a.planGrant)
		a.activate(a.planGrant)
	}
	a.evaluate(cause)
}

// naiveBoundary is the start of period i, counted from anchor.
func naiveBoundary(anchor time.Time, period string, i int) time.Time {
	months := 0
	switch period {
	case "day":
		return anchor.AddDate(0, 0, i)
	case "week":
		return anchor.AddDate(0, 0, 7*i)
	case "month":
		months = i
	case "year":
		months = 12 * i
	default:
		length, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(period, "PT")))
		if err != nil {
			panic(err)
		}
		return anchor.Add(time.Duration(i) * length)
	}
	wanted := (int(anchor.Month()) - 1 + months) % 12
	for back := 0; ; back++ { // until the day exists in the month
		at := time.Date(anchor.Year(), anchor.Month()+time.Month(months), anchor.Day()-back,
			anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
		if int(at.Month())-1 == wanted {
			return at
		}
	}
}

func (a *naiveAccount) sum(of func(*naiveGrant) events.Credits) (total events.Credits) {
	for _, g := range a.grants {
		total += of(g)
	}
	return total
}

func (a *naiveAccount) available() events.Credits {
	return a.sum(func(g *naiveGrant) events.Credits {
		if !g.active {
			return 0
		}
		return g.left()
	})
}

func (a *naiveAccount) overage() events.Credits {
	owed := -a.sum(func(g *naiveGrant) events.Credits { return g.drawn })
	for _, c := range a.charges {
		owed += c
	}
	for _, f := range a.forgiven {
		owed -= f
	}
	return owed
}

func (a *naiveAccount) balance() events.Balance {
	b := events.Balance{
		Account: a.id, Available: a.available(), Overage: a.overage(),
		Granted:   a.sum(func(g *naiveGrant) events.Credits { return g.Amount }),
		Remaining: a.sum((*naiveGrant).left),
		Drawn:     a.sum(func(g *naiveGrant) events.Credits { return g.drawn }),
		Expired:   a.sum(func(g *naiveGrant) events.Credits { return g.expired }),
		Voided:    a.sum(func(g *naiveGrant) events.Credits { return g.voided }),
		Sequence:  a.point.Sequence, Index: a.point.Index, At: a.point.Time,
	}
	for _, c := range a.charges {
		b.Charged += c
	}
	for _, f := range a.forgiven {
		b.Forgiven += f
	}
	if a.settings != nil {
		b.Plan = a.settings.Plan
	}
	if a.period != nil {
		period := *a.period
		b.Period = &period
	}
	open := a.drawable()
	var pending []*naiveGrant
	for _, g := range a.grants {
		if !g.active {
			pending = append(pending, g)
		}
	}
	slices.SortStableFunc(pending, func(g, h *naiveGrant) int { return g.EffectiveAt.Compare(h.EffectiveAt) })
	for _, g := range append(open, pending...) {
		listed := g.GrantBalance
		listed.Remaining = g.left()
		b.Grants = append(b.Grants, listed)
	}
	if more := len(b.Grants) - events.BalanceGrantsMax; more > 0 {
		b.Grants, b.MoreGrants = b.Grants[:events.BalanceGrantsMax], more
	}
	b.Levels = slices.Clone(a.levels)
	for i := range b.Levels {
		b.Levels[i].At = a.levelAt(b.Levels[i].Threshold)
	}
	last := len(b.Levels) - 1
	slices.SortStableFunc(b.Levels[:last], func(l, m events.Level) int { return cmp.Compare(m.At, l.At) })
	return b
}
