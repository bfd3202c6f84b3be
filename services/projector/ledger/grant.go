package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
)

// grant is an open grant: pending, or active with something remaining.
type grant struct {
	id                 string
	amount, remaining  events.Credits
	effective, expires micros   // expires is never for one that does not
	renewal            *renewal // nil for a grant that no boundary changes
	order              uint64   // among the account's grants
	source             events.GrantSource
	priority           uint8
	index              int32 // in account.active, or in account.pending
	expiryIndex        int32 // in account.expiring; -1 when it is not there
	closed             bool
	how                ending // once closed
}

// fate is what is remembered of a grant: enough to tell the same command from
// another one with its id, and to answer a void.
type fate struct {
	open    *grant // nil once closed
	content digest
	how     ending // once closed
}

// ending says how a grant ended.
type ending uint8

const (
	spent ending = iota
	expired
	voided
	charged // never a grant: the id is of an adjustment that charged
)

const (
	noteMax      = 512
	planIDPrefix = "plan:" // of the grants that plans issue
)

// grant decides a command to issue a grant.
func (x *step) grant(content *events.Grant) events.Decision {
	a := x.account
	if fault := checkGrant(content); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	key, sum := grantKey(a.id, content.ID), contentDigest(content)
	if f, ok := x.state.known[key]; ok {
		if f.content == sum {
			return unchanged
		}
		return refuse(events.RefusedConflict, "the account has another grant "+content.ID+", with other content: give this one an id of its own")
	}
	g := &grant{
		id: content.ID, amount: content.Amount, effective: x.now, expires: never,
		source: sourceOf(content), priority: priorityOf(content.Priority), renewal: renewalOf(content),
	}
	if !content.EffectiveAt.IsZero() {
		g.effective = microsOf(content.EffectiveAt)
	}
	if !content.ExpiresAt.IsZero() {
		g.expires = microsOf(content.ExpiresAt)
	}
	if g.expires <= x.now {
		return refuse(events.RefusedInvalid, "expires_at: "+timeText(g.expires)+" has passed")
	}
	if _, err := a.granted.Add(g.amount); err != nil {
		return refuse(events.RefusedOverflow, "all that was ever granted would overflow")
	}
	p := x.begin(PostingGrant, x.now)
	x.issue(p, g, fate{content: sum})
	x.end(p)
	decision := applied
	if content.TopUp != "" {
		decision.TopUp = a.answerTopUp(content.TopUp)
	}
	return decision
}

// issue adds g to the account; the sum of all grants must not overflow.
func (x *step) issue(p *Posting, g *grant, f fate) {
	x.account.granted += g.amount
	p.Granted = g.amount
	x.open(p, g, f)
}

// open opens g with credits that the account's totals have already.
func (x *step) open(p *Posting, g *grant, f fate) {
	a := x.account
	g.remaining = g.amount
	g.order = a.issued
	a.issued++
	p.Grant = g.id
	f.open = g
	x.state.known[grantKey(a.id, g.id)] = f
	if g.effective > x.now {
		a.pending.push(g)
		return
	}
	x.takeEffect(p, g)
}

// void decides a command to void a grant.
func (x *step) void(v *events.Void) events.Decision {
	f, ok := x.state.known[grantKey(x.account.id, v.Grant)]
	switch {
	case !ok, f.open == nil && f.how == charged:
		return refuse(events.RefusedNotFound, "the account has no grant "+v.Grant)
	case f.open == nil && f.how == voided:
		return refuse(events.RefusedAlreadyVoid, "the grant "+v.Grant+" is void already")
	case f.open == nil:
		return refuse(events.RefusedSpent, "nothing of the grant "+v.Grant+" remains")
	case f.open.effective > x.now:
		return refuse(events.RefusedInvalid, "the grant has not taken effect yet")
	}
	g := f.open
	p := x.begin(PostingVoid, x.now)
	p.Grant, p.Voided = g.id, g.remaining
	x.account.voided += g.remaining
	x.account.drawable -= g.remaining
	x.close(g, voided)
	x.end(p)
	return applied
}

// checkGrant returns what is wrong with a grant whatever the time, or "".
func checkGrant(g *events.Grant) string {
	switch {
	case !events.ValidGrantID(g.ID):
		return "id: expected 1 to 128 of A–Z a–z 0–9 _ - . :"
	case strings.HasPrefix(g.ID, planIDPrefix):
		return "id: " + planIDPrefix + " begins the ids of grants that plans issue"
	case strings.HasPrefix(g.ID, events.AdjustmentGrantPrefix):
		return "id: " + events.AdjustmentGrantPrefix + " begins the ids of grants that adjustments issue"
	case g.Amount <= 0 || g.Amount > events.MaxCredits:
		return "amount: expected more than 0 and at most " + events.MaxCredits.String()
	case !storable(g.EffectiveAt) || !storable(g.ExpiresAt):
		return "effective_at, expires_at: expected years 1 to 9999"
	case !g.ExpiresAt.IsZero() && !g.EffectiveAt.IsZero() && microsOf(g.ExpiresAt) <= microsOf(g.EffectiveAt):
		return "expires_at: expected a time after effective_at"
	case len(g.Note) > noteMax:
		return "note: expected at most 512 bytes"
	case g.Recurrence != "" && !parses(g.Recurrence):
		return "recurrence: expected " + events.PeriodForm
	case g.TopUp != "" && !events.ValidTopUpID(g.TopUp):
		return "top_up: expected a request for a top-up such as topup:acme:1"
	case g.CostBasis != nil && !validCurrency(g.CostBasis.Currency):
		return "cost_basis: expected a currency such as USD"
	}
	if fault := checkRollover(g.Rollover, g.Amount); fault != "" {
		return fault
	}
	switch sourceOf(g) {
	case events.SourcePrepaid, events.SourcePromo, events.SourceTopUp, events.SourceAdjustment:
		return ""
	case events.SourcePlan:
		return "source: only plans issue grants of source plan"
	}
	return "source: expected prepaid, promo, top_up or adjustment"
}

func validCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func sourceOf(g *events.Grant) events.GrantSource {
	switch {
	case g.Source != "":
		return g.Source
	case g.TopUp != "":
		return events.SourceTopUp
	}
	return events.SourcePrepaid
}

func priorityOf(priority *uint8) uint8 {
	if priority == nil {
		return events.DefaultPriority
	}
	return *priority
}

// digest is half a SHA-256: enough that no two contents ever share one.
type digest [16]byte

func digestOf(content []byte) digest {
	sum := sha256.Sum256(content)
	return digest(sum[:16])
}

func grantKey(account, id string) digest {
	b := make([]byte, 0, 256) // on the stack
	b = append(append(append(b, account...), 0), id...)
	return digestOf(b)
}

// contentDigest is the same for two commands that ask for the same grant. It
// is part of an encoded state: a change of it changes encodingVersion.
func contentDigest(g *events.Grant) digest {
	b := make([]byte, 0, 1024)
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendVarint(b, int64(g.Amount))
	b = append(b, priorityOf(g.Priority))
	b = binary.AppendVarint(b, int64(microsOf(g.EffectiveAt)))
	b = binary.AppendVarint(b, int64(microsOf(g.ExpiresAt)))
	text(string(sourceOf(g)))
	text(g.Note)
	text(g.Recurrence)
	rollover := rolloverOf(g.Rollover)
	b = binary.AppendVarint(b, int64(rollover.min))
	b = binary.AppendVarint(b, int64(rollover.max))
	if g.CostBasis != nil {
		text(g.CostBasis.Currency)
		text(g.CostBasis.Price.String())
	}
	if g.TopUp != "" { // one text more, so that no grant without it has the same digest
		text(g.TopUp)
	}
	return digestOf(b)
}
