package ledger

import (
	"cmp"
	"slices"
)

// Codes of sources of draws; a grant is sourceGrant more than its number among
// the open ones and then the closed ones that are written.
const (
	sourceOverage = iota
	sourceExpired
	sourceVoided
	sourceGrant
)

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
	codes := make(map[*grant]uint64, len(e.grants)+3)
	codes[nil], codes[lostToExpiry], codes[lostToVoid] = sourceOverage, sourceExpired, sourceVoided
	for i, g := range e.grants {
		codes[g] = uint64(sourceGrant + i)
	}
	for _, g := range closed {
		e.uvarint(g.order)
		e.byte(byte(g.how))
		e.grant(g, digest{}, false, a.clock.now)
		e.pause()
	}
	e.uvarint(uint64(len(a.uses.runs)))
	for _, r := range a.uses.runs {
		e.place(r.from)
		e.shares(r.parts, codes)
		e.source(r.rest, codes)
		e.pause()
	}
	e.shares(a.uses.repaid, codes)
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

func (e *stateEncoder) shares(shares []share, codes map[*grant]uint64) {
	e.uvarint(uint64(len(shares)))
	for _, s := range shares {
		e.source(s.source, codes)
		e.uvarint(uint64(s.amount))
	}
}

func (e *stateEncoder) source(s source, codes map[*grant]uint64) {
	e.uvarint(codes[s.grant])
	if s.grant != nil && s.grant.renewal != nil {
		e.uvarint(s.turn)
	}
}

// grants are those that u names, each once.
func (u *uses) grants() []*grant {
	seen := map[*grant]bool{nil: true, lostToExpiry: true, lostToVoid: true}
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
	for _, s := range u.repaid {
		add(s.grant)
	}
	return grants
}

// uses reads what uses writes.
func (d *stateDecoder) uses(a *account) {
	u := &uses{}
	sources := append([]*grant{nil, lostToExpiry, lostToVoid}, d.grants...)
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		g := &grant{order: d.uvarint(), closed: true}
		g.how = ending(d.byte())
		flags, _ := d.grantContent(a, g)
		d.check(g.order < a.issued && g.how <= voided && flags&(grantPending|grantContent) == 0, "closed grant")
		sources = append(sources, g)
	}
	var last place
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		r := run{from: d.place(), parts: d.shares(sources)}
		r.rest = d.source(sources)
		d.check(last.before(r.from) && len(r.parts) != 1, "draws")
		last = r.from
		u.runs = append(u.runs, r)
	}
	u.repaid = d.shares(sources)
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

func (d *stateDecoder) shares(sources []*grant) []share {
	var shares []share
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		shares = append(shares, share{d.source(sources), d.credits()})
	}
	return shares
}

func (d *stateDecoder) source(sources []*grant) (s source) {
	code := d.uvarint()
	d.check(code < uint64(len(sources)), "source of a draw")
	if d.err != nil {
		return s
	}
	s.grant = sources[code]
	if s.grant != nil && s.grant.renewal != nil {
		s.turn = d.uvarint()
	}
	return s
}
