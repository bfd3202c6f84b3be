package books

import (
	"cmp"
	"slices"
)

const defaultPriority = 100

// Grant is a block of credits.
type Grant struct {
	ID                string
	amount, remaining int64
	priority          int
	begins, ends      int64
	nth               int
	State             string // pending, active, spent, expired or voided
	content           *Issue // of the command, if one issued it

	ofPlan   bool
	turn     int  // how often it was renewed
	carried  bool // its period carries it over instead of its expiring
	recurs   int64
	every    string // its recurrence
	each     int64  // what it is granted at each
	rollover *Rollover
}

// grant issues a grant once.
func (a *Account) grant(c *Issue) Decision {
	if known := a.known[c.ID]; known != nil {
		if known.content != nil && same(plain(known.content), plain(c)) {
			return unchanged
		}
		return refused("conflict")
	}
	g := &Grant{
		ID: c.ID, amount: int64(c.Amount), priority: priority(c.Priority), begins: a.now, ends: never, content: c,
		every: c.Recurrence, each: int64(c.Amount), rollover: c.Rollover,
	}
	if !c.EffectiveAt.IsZero() {
		g.begins = micros(c.EffectiveAt)
	}
	if !c.ExpiresAt.IsZero() {
		g.ends = micros(c.ExpiresAt)
	}
	if g.ends <= a.now {
		return refused("invalid")
	}
	a.issue(g)
	a.answerTopUp(c.TopUp)
	return applied
}

// plain is a command with its defaults written out.
func plain(c *Issue) Issue {
	content := *c
	content.Priority = new(priority(c.Priority))
	if content.Source == "" && c.TopUp != "" {
		content.Source = "top_up"
	}
	content.Source = cmp.Or(content.Source, "prepaid")
	return content
}

func priority(given *int) int {
	if given == nil {
		return defaultPriority
	}
	return *given
}

// issue adds a grant of credits that are new.
func (a *Account) issue(g *Grant) {
	a.granted += g.amount
	a.take(g)
}

// take adds a grant, now or when it begins.
func (a *Account) take(g *Grant) {
	g.remaining, g.recurs, g.nth = g.amount, never, a.issued
	a.issued++
	a.known[g.ID] = g
	if g.begins > a.now {
		g.State = "pending"
		a.pending = append(a.pending, g)
		slices.SortFunc(a.pending, func(g, h *Grant) int { return cmp.Or(cmp.Compare(g.begins, h.begins), cmp.Compare(g.nth, h.nth)) })
		return
	}
	a.begin(g, a.now)
}

// activate has the first pending grant take effect.
func (a *Account) activate(at int64) {
	g := a.pending[0]
	a.pending = a.pending[1:]
	a.begin(g, at)
	a.evaluate()
}

// begin has a grant take effect.
func (a *Account) begin(g *Grant, at int64) {
	g.State = "active"
	a.activeAgain(g)
	if g.every != "" {
		_, end := window(g.every, g.begins, at)
		g.recurAt(end)
	}
	if a.period != nil && a.period.running {
		a.period.granted += g.amount
	}
	a.replenished()
}

// recurAt says when a grant recurs next: not any more, once it has ended.
func (g *Grant) recurAt(next int64) {
	if g.recurs = never; next < g.ends {
		g.recurs = next
	}
}

func (a *Account) activeAgain(g *Grant) {
	a.active = append(a.active, g)
	slices.SortFunc(a.active, func(g, h *Grant) int {
		return cmp.Or(cmp.Compare(g.priority, h.priority), cmp.Compare(g.ends, h.ends), cmp.Compare(g.nth, h.nth))
	})
}

// renews reports whether a boundary may give a spent grant credits again.
func (g *Grant) renews() bool {
	if g.every != "" {
		return g.recurs != never
	}
	return g.rollover != nil && g.rollover.Min > 0
}

// leave ends a grant.
func (a *Account) leave(g *Grant, state string) {
	g.State = state
	a.active, a.resting = without(a.active, g), without(a.resting, g)
}

func (a *Account) expire(g *Grant) {
	a.expired += g.remaining
	a.leave(g, "expired")
	a.evaluate()
}

func (a *Account) void(id string) Decision {
	switch g := a.known[id]; {
	case g == nil:
		return refused("not_found")
	case g.State == "voided":
		return refused("already_void")
	case g.State == "pending":
		return refused("invalid")
	case g.State != "active":
		return refused("spent")
	default:
		a.voided += g.remaining
		a.leave(g, "voided")
		return applied
	}
}

// recur starts a grant over. Of intervals that passed unnoticed the one that
// contains now starts.
func (a *Account) recur(g *Grant, at int64) {
	start, end := window(g.every, g.begins, min(a.now, g.ends-1))
	if start > at {
		g.recurs = start
		return
	}
	g.recurAt(end)
	kept := g.rollover.kept(g.remaining)
	a.renew(g, kept+g.each, g.each+max(0, kept-g.remaining))
	g.amount = kept + g.each
	a.evaluate()
}

// renew makes left what a grant has: so much is granted, and what is too much
// expires.
func (a *Account) renew(g *Grant, left, granted int64) {
	a.granted += granted
	a.expired += g.remaining + granted - left
	if slices.Contains(a.resting, g) {
		a.resting = without(a.resting, g)
		a.activeAgain(g)
	}
	g.remaining = left
	g.turn++
	if a.period != nil && a.period.running {
		a.period.granted += granted
	}
	a.replenished()
}

// rollOver keeps, at a new period, what is to be kept of grants that do not
// recur: the older ones first.
func (a *Account) rollOver() {
	all := slices.Concat(a.active, a.resting)
	slices.SortFunc(all, func(g, h *Grant) int { return cmp.Compare(g.nth, h.nth) })
	for _, g := range all {
		if g.rollover == nil || g.every != "" {
			continue
		}
		if kept := g.rollover.kept(g.remaining); kept != g.remaining {
			a.period.outlived -= max(0, g.remaining-kept)
			a.renew(g, kept, max(0, kept-g.remaining))
			a.evaluate()
		}
	}
}
