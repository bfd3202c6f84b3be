package ledger

import (
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// openGrants reads the open grants of a; what remains of them must be what
// a's totals leave.
func (d *stateDecoder) openGrants(a *account) {
	a.issued = d.uvarint()
	left, next := a.remaining(), uint64(0)
	d.grants = d.grants[:0]
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		order := next + d.uvarint()
		d.check(order >= next && order < a.issued, "order of a grant")
		next = order + 1
		g := &grant{order: order}
		flags := d.grant(a, g)
		left -= g.remaining
		if d.err != nil {
			return
		}
		d.grants = append(d.grants, g)
		if flags&grantPending != 0 {
			a.pending.push(g)
			continue
		}
		if g.renewal != nil {
			a.enqueueRenewal(g)
		}
		a.active.push(g)
		if g.remaining == 0 {
			a.rest(g)
		}
	}
	d.check(left == 0, "totals of an account")
}

// grant reads an open g and makes it known. It returns its flags.
func (d *stateDecoder) grant(a *account, g *grant) byte {
	flags, content := d.grantContent(a, g)
	d.check(g.remaining > 0 || flags&grantPending == 0 && g.renews(), "amount of a grant")
	if d.err != nil {
		return flags
	}
	key := grantKey(a.id, g.id)
	_, twice := d.state.known[key]
	d.check(!twice, "id of a grant")
	d.state.known[key] = fate{open: g, content: content}
	return flags
}

// grantContent reads what is written of g, its flags and the digest of its
// command.
func (d *stateDecoder) grantContent(a *account, g *grant) (flags byte, content digest) {
	flags = d.byte()
	d.check(flags <= grantFlags, "flags of a grant")
	g.id = d.text()
	g.amount = d.credits()
	g.remaining = g.amount - d.credits()
	d.check(g.amount <= 2*events.MaxCredits && g.remaining >= 0, "amount of a grant")
	g.effective, g.expires = a.clock.now+micros(d.varint()), never
	if flags&grantExpires != 0 {
		g.expires = g.effective + micros(d.varint())
		d.check(g.expires != never, "end of a grant")
	}
	source := d.byte()
	d.check(int(source) < len(grantSources), "source of a grant")
	g.priority = d.byte()
	if flags&grantContent != 0 {
		copy(content[:], d.bytes(len(content)))
		d.check(content != (digest{}), "content of a grant")
	}
	if flags&grantRenews != 0 {
		g.renewal = d.renewal(a.clock.now, flags&grantRecurs != 0)
	}
	d.check(flags&(grantRenews|grantRecurs) != grantRecurs, "flags of a grant")
	d.check(flags&(grantPending|grantRecurs) != grantPending|grantRecurs, "flags of a grant")
	if d.err == nil {
		g.source = grantSources[source]
	}
	return flags, content
}

// grantOfPeriod reads the id of a grant.
func (d *stateDecoder) grantOfPeriod() (id string) {
	open := d.uvarint()
	switch {
	case open == 0:
		id = d.text()
		d.check(!slices.ContainsFunc(d.grants, func(g *grant) bool { return g.id == id }), "grant of a period")
	case open <= uint64(len(d.grants)):
		id = d.grants[open-1].id
	default:
		d.fail("grant of a period")
	}
	return id
}
