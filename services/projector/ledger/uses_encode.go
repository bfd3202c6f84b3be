package ledger

import (
	"cmp"
	"slices"
)

// Codes of sources of draws; a grant is sourceGrant more than its number among
// the open ones and then the closed ones that are written. Debts follow.
const (
	sourceExpired = iota
	sourceVoided
	sourceForgiven
	sourceGrant
)

// codes are what sources are written as.
type codes struct {
	grants map[*grant]uint64
	debts  map[*debt]uint64
}

// uses writes what is remembered of an account's draws, behind its open grants.
func (e *stateEncoder) uses(a *account) {
	open := len(e.grants)
	for _, g := range a.uses.grants() {
		if g.closed {
			e.grants = append(e.grants, g)
		}
	}
	closed := e.grants[open:]
	slices.SortFunc(closed, func(g, h *grant) int { return cmp.Compare(g.order, h.order) })
	e.uvarint(uint64(len(closed)))
	c := codes{grants: make(map[*grant]uint64, len(e.grants)+sourceGrant), debts: map[*debt]uint64{}}
	c.grants[lostToExpiry], c.grants[lostToVoid], c.grants[lostToForgiving] = sourceExpired, sourceVoided, sourceForgiven
	for i, g := range e.grants {
		c.grants[g] = uint64(sourceGrant + i)
	}
	for _, g := range closed {
		e.uvarint(g.order)
		e.byte(byte(g.how))
		e.grant(g, digest{}, false, a.clock.now)
		e.pause()
	}
	debts := slices.Collect(a.uses.debts())
	e.uvarint(uint64(len(debts)))
	for i, d := range debts {
		e.shares(d.settled, c)
		e.uvarint(uint64(d.forgiven))
		e.pause()
		c.debts[d] = uint64(sourceGrant + len(e.grants) + i)
	}
	e.uvarint(uint64(len(a.uses.runs)))
	for _, r := range a.uses.runs {
		e.place(r.from)
		e.shares(r.parts, c)
		e.source(r.rest, c)
		e.pause()
	}
	e.uvarint(uint64(1 + slices.Index(debts, a.uses.debt)))
	corrected := make([]place, 0, len(a.uses.corrected))
	for p := range a.uses.corrected {
		corrected = append(corrected, p)
	}
	slices.SortFunc(corrected, func(p, q place) int {
		return cmp.Or(cmp.Compare(p.sequence, q.sequence), cmp.Compare(p.index, q.index))
	})
	e.uvarint(uint64(len(corrected)))
	for _, p := range corrected {
		e.place(p)
	}
	e.grants = e.grants[:open]
}

func (e *stateEncoder) shares(shares []share, c codes) {
	e.uvarint(uint64(len(shares)))
	for _, s := range shares {
		e.source(s.source, c)
		e.uvarint(uint64(s.amount))
	}
}

func (e *stateEncoder) source(s source, c codes) {
	if s.debt != nil {
		e.uvarint(c.debts[s.debt])
		return
	}
	e.uvarint(c.grants[s.grant])
	if s.grant.renewal != nil {
		e.uvarint(s.turn)
	}
}

// grants are those that u names, each once.
func (u *uses) grants() []*grant {
	seen := map[*grant]bool{nil: true, lostToExpiry: true, lostToVoid: true, lostToForgiving: true}
	var grants []*grant
	add := func(g *grant) {
		if !seen[g] {
			seen[g] = true
			grants = append(grants, g)
		}
	}
	for _, r := range u.runs {
		for _, s := range r.parts {
			add(s.grant)
		}
		add(r.rest.grant)
	}
	for d := range u.debts() {
		for _, s := range d.settled {
			add(s.grant)
		}
	}
	return grants
}

// uses reads what uses writes.
func (d *stateDecoder) uses(a *account) {
	u := &uses{}
	from := sources{grants: append([]*grant{lostToExpiry, lostToVoid, lostToForgiving}, d.grants...)}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		g := &grant{order: d.uvarint(), closed: true}
		g.how = ending(d.byte())
		flags, _ := d.grantContent(a, g)
		d.check(g.order < a.issued && g.how <= voided && flags&(grantPending|grantContent) == 0, "closed grant")
		from.grants = append(from.grants, g)
	}
	var debts []*debt // which settle with grants alone
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		debts = append(debts, &debt{settled: d.shares(&from), forgiven: d.credits()})
	}
	from.debts = debts
	var last place
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		r := run{from: d.place(), parts: d.shares(&from)}
		r.rest = d.source(&from)
		d.check(last.before(r.from) && len(r.parts) != 1, "draws")
		last = r.from
		u.runs = append(u.runs, r)
	}
	runs := d.uvarint() // of debts the number of the one that does, from 1
	d.check(runs <= uint64(min(from.named+1, len(debts))), "debt that runs")
	if runs > 0 && d.err == nil {
		u.debt, from.named = debts[runs-1], max(from.named, int(runs))
	}
	d.check(from.named == len(debts), "debts")
	last = place{}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		p := d.place()
		d.check(last.before(p), "corrected entries")
		last = p
		a.uses = u
		a.chargesNothing(p)
	}
	a.uses = u
}

// sources are what draws may be from, by their codes.
type sources struct {
	grants []*grant
	debts  []*debt
	named  int // debts so far: each is named after those before it
}

func (d *stateDecoder) shares(from *sources) []share {
	var shares []share
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		shares = append(shares, share{d.source(from), d.credits()})
	}
	return shares
}

func (d *stateDecoder) source(from *sources) (s source) {
	code := d.uvarint()
	grants := uint64(len(from.grants))
	d.check(code < grants || code-grants < uint64(min(from.named+1, len(from.debts))), "source of a draw")
	switch {
	case d.err != nil:
	case code >= grants:
		s.debt = from.debts[code-grants]
		from.named = max(from.named, int(code-grants)+1)
	default:
		s.grant = from.grants[code]
		if s.grant.renewal != nil {
			s.turn = d.uvarint()
		}
	}
	return s
}
