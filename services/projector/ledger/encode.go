package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
)

// encodingVersion is of what Encode writes. Whatever changes that, the digests
// of grants included, raises it: a state of another version is folded anew.
const encodingVersion = 8

// Bits of an account's first number.
const (
	accountIsSet    = 1 << iota // has settings
	accountCurrent              // has taken over its plan's terms as they are
	accountCycle                // has periods, or had
	accountRunning              // one is running
	accountStarts               // the next one's start is known
	accountDue                  // time will change it
	accountBackward             // the last entry's time was before the account's
	accountHolds                // holds were placed
	accountWaiting              // settings wait for the end of its period
	accountUses                 // there were debits
	accountTopUps               // top-ups were requested
	accountFlags    = 1<<iota - 1
)

// Bits of a grant's first byte.
const (
	grantPending = 1 << iota
	grantExpires
	grantContent // has a digest: a command issued it
	grantRenews  // has a renewal
	grantRecurs  // which has a next recurrence
	grantFlags   = 1<<iota - 1
)

// Bits of a level's byte.
const (
	levelReached = 1 << iota
	levelSince
	levelSame  // as the level's before it
	levelFlags = 1<<iota - 1
)

// fateContent, in a closed grant's byte, stands above its ending.
const fateContent = 1 << 2

// Encode writes s. Decode returns a state from it that decides everything as s
// does, and that Encode writes as the same bytes. Two states that folded the
// same entries are written as the same bytes. Errors are those of w.
func (s *State) Encode(w io.Writer) error {
	e := newStateEncoder(w)
	e.uvarint(encodingVersion)
	e.clock(s.broadcast)
	e.place(s.stray)
	if err := e.plans(s.plans); err != nil {
		return err
	}
	if err := e.cards(s.cards); err != nil {
		return err
	}
	e.uvarint(uint64(len(s.named)))
	for _, a := range s.named {
		if err := e.account(s, a); err != nil {
			return err
		}
	}
	e.fates(s.known)
	return e.end()
}

// stateEncoder writes the parts of a state. What repeats from account to
// account is written once, or as the difference to the one before.
type stateEncoder struct {
	writer
	planNumbers map[string]uint64
	terms       map[*terms]uint64 // their numbers, in the order of first use
	termsBytes  map[string]uint64 // the same, by what they say
	last        clock             // of the account before
	grants      []*grant          // reused
}

func newStateEncoder(w io.Writer) *stateEncoder {
	return &stateEncoder{
		writer: writer{to: w}, planNumbers: map[string]uint64{},
		terms: map[*terms]uint64{}, termsBytes: map[string]uint64{},
	}
}

func (e *stateEncoder) place(l place) {
	e.uvarint(l.sequence)
	e.varint(int64(l.index))
}

func (e *stateEncoder) clock(c clock) {
	e.place(c.place)
	e.varint(int64(c.now))
}

func (e *stateEncoder) content(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the state of the fold: %w", err)
	}
	e.text(string(b))
	return nil
}

func (e *stateEncoder) plans(plans map[string]*plan) error {
	e.uvarint(uint64(len(plans)))
	for i, name := range slices.Sorted(maps.Keys(plans)) {
		e.planNumbers[name] = uint64(i + 1)
		e.uvarint(plans[name].last().number)
		e.uvarint(uint64(len(plans[name].versions)))
		for _, v := range plans[name].versions {
			e.varint(int64(v.since))
			if err := e.content(v.content); err != nil {
				return err
			}
			e.pause()
		}
	}
	return nil
}

func (e *stateEncoder) cards(cards map[string][]version) error {
	e.uvarint(uint64(len(cards)))
	for _, name := range slices.Sorted(maps.Keys(cards)) {
		e.uvarint(uint64(len(cards[name])))
		for _, v := range cards[name] {
			e.varint(v.asked.Unix())
			e.uvarint(uint64(v.asked.Nanosecond()))
			if err := e.content(v.card); err != nil {
				return err
			}
			e.pause()
		}
	}
	return nil
}

// account writes a. What remains, is available or overage, and the levels in
// credits, follow from the rest.
func (e *stateEncoder) account(s *State, a *account) error {
	e.text(a.id)
	e.uvarint(a.flags())
	e.varint(int64(a.clock.sequence - e.last.sequence))
	e.varint(int64(a.clock.index))
	e.varint(int64(a.clock.now - e.last.now))
	e.last = a.clock
	if a.at != a.clock.now {
		e.varint(int64(a.at - a.clock.now))
	}
	if a.due != never {
		e.varint(int64(a.due - a.clock.now))
	}
	e.uvarint(a.number)
	for _, c := range [...]events.Credits{a.granted, a.drawn, a.expired, a.voided, a.charged, a.forgiven, a.topped} {
		e.uvarint(uint64(c))
	}
	if a.settings != nil {
		if err := e.settings(a.settings, a.clock.now); err != nil {
			return err
		}
	}
	if a.waiting != nil {
		if err := e.content(*a.waiting); err != nil {
			return err
		}
	}
	e.termsOf(a.terms)
	e.openGrants(s, a)
	if a.uses != nil {
		e.uses(a)
	}
	if a.holds != nil {
		e.holds(a.holds, a.clock.now)
	}
	if a.topUps != nil {
		e.topUps(a.topUps, a.clock)
	}
	if a.cycle != nil {
		e.cycle(a)
	}
	e.levels(a)
	e.budgets(a)
	e.pause()
	return nil
}

func (a *account) flags() uint64 {
	var flags uint64
	set := func(bit uint64, on bool) {
		if on {
			flags |= bit
		}
	}
	set(accountIsSet, a.settings != nil)
	set(accountCurrent, a.settings != nil && a.settings.plan != nil && a.settings.plan.behind(a.settings.taken) == nil)
	set(accountCycle, a.cycle != nil)
	set(accountRunning, a.cycle != nil && a.cycle.running)
	set(accountStarts, a.cycle != nil && a.cycle.starts != never)
	set(accountDue, a.due != never)
	set(accountBackward, a.at != a.clock.now)
	set(accountHolds, a.holds != nil)
	set(accountWaiting, a.waiting != nil)
	set(accountUses, a.uses != nil)
	set(accountTopUps, a.topUps != nil)
	return flags
}

func (e *stateEncoder) settings(s *settings, now micros) error {
	e.uvarint(e.planNumbers[s.content.Plan])
	if s.plan != nil && s.plan.behind(s.taken) != nil {
		e.uvarint(s.taken)
	}
	e.varint(int64(microsOf(s.content.StartedAt) - now))
	own := &s.content.Terms
	if none(own) {
		e.text("")
		return nil
	}
	return e.content(own)
}

// termsOf writes the number of t, and behind a new number what t says.
func (e *stateEncoder) termsOf(t *terms) {
	if number, ok := e.terms[t]; ok {
		e.uvarint(number)
		return
	}
	said := string(appendTerms(nil, t))
	number, ok := e.termsBytes[said]
	if !ok {
		number = uint64(len(e.termsBytes))
		e.termsBytes[said] = number
	}
	e.terms[t] = number
	e.uvarint(number)
	if !ok {
		e.text(said)
	}
}

func (e *stateEncoder) openGrants(s *State, a *account) {
	e.grants = append(append(append(e.grants[:0], a.active...), a.pending...), a.renewing.asleep()...)
	slices.SortFunc(e.grants, func(g, h *grant) int { return cmp.Compare(g.order, h.order) })
	e.uvarint(a.issued)
	e.uvarint(uint64(len(e.grants)))
	var next uint64
	for _, g := range e.grants {
		e.uvarint(g.order - next)
		next = g.order + 1
		pending := int(g.index) < len(a.pending) && a.pending[g.index] == g
		e.grant(g, s.known[grantKey(a.id, g.id)].content, pending, a.clock.now)
		e.pause()
	}
}

func (e *stateEncoder) grant(g *grant, content digest, pending bool, now micros) {
	var flags byte
	if pending {
		flags |= grantPending
	}
	if g.expires != never {
		flags |= grantExpires
	}
	if content != (digest{}) {
		flags |= grantContent
	}
	if g.renewal != nil {
		flags |= grantRenews
	}
	if g.recursAt() != never {
		flags |= grantRecurs
	}
	e.byte(flags)
	e.text(g.id)
	e.uvarint(uint64(g.amount))
	e.uvarint(uint64(g.amount - g.remaining))
	e.varint(int64(g.effective - now))
	if g.expires != never {
		e.varint(int64(g.expires - g.effective))
	}
	e.byte(byte(slices.Index(grantSources, g.source)))
	e.byte(g.priority)
	if content != (digest{}) {
		e.bytes(content[:])
	}
	if g.renewal != nil {
		e.renewal(g.renewal, now)
	}
}

// grantSources are written as their index.
var grantSources = []events.GrantSource{
	events.SourcePlan, events.SourcePrepaid, events.SourcePromo, events.SourceTopUp, events.SourceAdjustment,
}

// cycle writes a's periods.
func (e *stateEncoder) cycle(a *account) {
	c, now := a.cycle, a.clock.now
	e.varint(int64(c.start - now))
	e.varint(int64(c.end - now))
	e.uvarint(uint64(c.granted))
	e.uvarint(uint64(c.outlived))
	if c.starts != never {
		e.varint(int64(c.starts - now))
	}
	e.varint(int64(c.floor - now))
	e.uvarint(uint64(c.nth))
	e.grantOfPeriod(c.grant)
	e.uvarint(uint64(c.rollover.min))
	e.uvarint(uint64(c.rollover.max))
	e.grantOfPeriod(c.rolled)
}

// grantOfPeriod writes the id of a grant as the number of one of e.grants,
// where it is open.
func (e *stateEncoder) grantOfPeriod(id string) {
	open := slices.IndexFunc(e.grants, func(g *grant) bool { return g.id == id })
	e.uvarint(uint64(open + 1))
	if open < 0 {
		e.text(id)
	}
}

func (e *stateEncoder) levels(a *account) {
	var last *events.Cause
	for _, l := range a.levels {
		same := l.since != nil && last != nil && *l.since == *last
		var flags byte
		if l.reached {
			flags |= levelReached
		}
		if l.since != nil {
			flags |= levelSince
		}
		if same {
			flags |= levelSame
		}
		e.byte(flags)
		if l.since != nil && !same {
			e.cause(l.since, a.clock)
			last = l.since
		}
	}
}

func (e *stateEncoder) cause(c *events.Cause, at clock) {
	e.uvarint(at.sequence - c.Sequence)
	e.varint(int64(c.Index))
	kind := slices.Index(causeKinds, c.Kind)
	e.uvarint(uint64(kind + 1))
	if kind < 0 {
		e.text(string(c.Kind))
	}
	e.varint(int64(microsOf(c.At) - at.now))
	e.text(c.Source)
	e.text(c.ID)
}

// causeKinds are written as their index.
var causeKinds = []events.EntryKind{
	events.EntryDebit, events.EntryGrant, events.EntryVoid, events.EntryAccount, events.EntryTick,
	events.EntryHold, events.EntryCapture, events.EntryRelease, events.EntryAdjust, events.EntryCorrection,
	events.EntryDecline,
}

// fates writes what is remembered of closed grants, in order of their keys.
func (e *stateEncoder) fates(known map[digest]fate) {
	var closed []digest
	for key, f := range known {
		if f.open == nil {
			closed = append(closed, key)
		}
	}
	slices.SortFunc(closed, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	e.uvarint(uint64(len(closed)))
	for _, key := range closed {
		f := known[key]
		e.bytes(key[:])
		if f.content == (digest{}) {
			e.byte(byte(f.how))
		} else {
			e.byte(byte(f.how) | fateContent)
			e.bytes(f.content[:])
		}
		e.pause()
	}
}
