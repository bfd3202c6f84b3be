package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Decode reads a state that Encode wrote. It refuses everything else: other
// versions, bytes that are missing, altered or too many, and amounts that do
// not add up.
func Decode(r io.Reader) (*State, error) {
	d := &stateDecoder{reader: newReader(r), state: New(), numbered: map[*terms]bool{}}
	d.termsKnown = map[string]*terms{string(appendTerms(nil, defaultTerms)): defaultTerms}
	if version := d.uvarint(); d.err == nil && version != encodingVersion {
		return nil, fmt.Errorf("read the state of the fold: it is of version %d; expected %d", version, encodingVersion)
	}
	d.state.broadcast = d.clock()
	d.state.stray = d.place()
	d.plans()
	d.cards()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		d.account()
	}
	d.fates()
	if err := d.end(); err != nil {
		return nil, err
	}
	return d.state, nil
}

// stateDecoder reads the parts of a state.
type stateDecoder struct {
	reader
	state      *State
	planNames  []string // in their order
	terms      []*terms // by number
	numbered   map[*terms]bool
	termsKnown map[string]*terms // by what they say
	last       clock             // of the account before
	grants     []*grant          // of the account, reused
}

// check notes that what was read is not what Encode writes.
func (d *stateDecoder) check(ok bool, what string) {
	if !ok {
		d.fail(what)
	}
}

func (d *stateDecoder) place() place {
	p := place{sequence: d.uvarint(), index: int(d.varint())}
	d.check(p.index >= 0, "index of an entry")
	return p
}

func (d *stateDecoder) clock() clock { return clock{place: d.place(), now: micros(d.varint())} }

func (d *stateDecoder) credits() events.Credits {
	c := events.Credits(d.uvarint())
	d.check(c >= 0, "an amount")
	return c
}

// content reads v, which must be written in the one way that Encode does.
func (d *stateDecoder) content(text string, v any) {
	if d.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		d.fail("content")
		return
	}
	again, err := json.Marshal(v)
	d.check(err == nil && bytes.Equal(again, []byte(text)), "content")
}

func (d *stateDecoder) plans() {
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		p := &plan{}
		last, count := d.uvarint(), d.uvarint()
		d.check(count > 0 && count <= planVersionsMax && count <= last, "versions of a plan")
		for number := last - count + 1; number <= last && d.err == nil; number++ {
			d.planVersion(p, number)
		}
		if d.err != nil {
			return
		}
		name, before := p.last().content.Plan, len(d.planNames)-1
		d.check(before < 0 || d.planNames[before] < name, "name of a plan")
		d.planNames = append(d.planNames, name)
		d.state.plans[name] = p
	}
}

func (d *stateDecoder) planVersion(p *plan, number uint64) {
	v := &planVersion{number: number, since: micros(d.varint())}
	d.content(d.text(), &v.content)
	d.check(events.ValidName(v.content.Plan), "name of a plan")
	d.check(checkTerms(v.content.Terms) == "" && checkMerged(v.content.Terms) == "", "terms of a plan")
	d.check(v.since <= d.state.broadcast.now, "time of a plan")
	if len(p.versions) > 0 {
		d.check(v.content.Plan == p.last().content.Plan, "name of a plan")
		d.check(p.last().since <= v.since && !sameContent(p.last().content, v.content), "versions of a plan")
	}
	if d.err != nil {
		return
	}
	v.terms = compile(v.content.Terms)
	said := string(appendTerms(nil, v.terms))
	if _, ok := d.termsKnown[said]; !ok {
		d.termsKnown[said] = v.terms
	}
	p.versions = append(p.versions, v)
}

func (d *stateDecoder) cards() {
	last := ""
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		var versions []version
		for m := d.uvarint(); m > 0 && d.err == nil; m-- {
			var v version
			seconds, nanos := d.varint(), d.uvarint()
			d.check(nanos < uint64(time.Second), "time of a rate card")
			v.asked = time.Unix(seconds, int64(nanos)).UTC()
			d.content(d.text(), &v.card)
			d.check(checkRateCard(v.card) == "" && v.card.Version == len(versions)+1, "version of a rate card")
			versions = append(versions, v)
			d.check(v.card.Card == versions[0].card.Card, "name of a rate card")
		}
		d.check(len(versions) > 0 && last < versions[0].card.Card, "name of a rate card")
		if d.err == nil {
			last = versions[0].card.Card
			d.state.cards[last] = versions
		}
	}
}

func (d *stateDecoder) account() {
	a := &account{id: d.text(), due: never}
	_, twice := d.state.accounts[a.id]
	d.check(events.ValidAccount(a.id) && !twice, "id of an account")
	flags := d.uvarint()
	d.check(flags <= accountFlags, "flags of an account")
	a.clock.sequence = d.last.sequence + uint64(d.varint())
	a.clock.index = int(d.varint())
	a.clock.now = d.last.now + micros(d.varint())
	a.at = a.clock.now
	d.check(a.clock.index >= 0, "index of an entry")
	d.last = a.clock
	if flags&accountBackward != 0 {
		a.at += micros(d.varint())
		d.check(a.at < a.clock.now, "time of an account")
	}
	due := never
	if flags&accountDue != 0 {
		due = a.clock.now + micros(d.varint())
		d.check(due != never, "due time of an account")
	}
	a.number = d.uvarint()
	for _, c := range [...]*events.Credits{&a.granted, &a.drawn, &a.expired, &a.voided, &a.charged, &a.forgiven, &a.topped} {
		*c = d.credits()
	}
	d.check(flags&accountCurrent == 0 || flags&accountIsSet != 0, "flags of an account")
	if flags&accountIsSet != 0 {
		a.settings = d.settings(a, flags&accountCurrent != 0)
	}
	if flags&accountWaiting != 0 {
		d.waiting(a, flags&accountRunning != 0)
	}
	a.terms = d.termsOf()
	d.openGrants(a)
	if flags&accountUses != 0 && d.err == nil {
		d.uses(a)
	}
	if flags&accountHolds != 0 {
		d.holds(a)
	}
	if flags&accountTopUps != 0 {
		d.topUps(a)
	}
	if d.err != nil {
		return
	}
	d.cycle(a, flags)
	d.levels(a)
	d.budgets(a)
	d.finish(a, due)
}

// finish works out what is not written of a, and adds it to the state.
func (d *stateDecoder) finish(a *account, due micros) {
	for _, g := range a.active {
		a.drawable += g.remaining
		a.watchExpiry(g)
	}
	for _, g := range a.renewing.asleep() {
		a.watchExpiry(g)
	}
	a.overage = a.charged - a.drawn - a.forgiven
	d.check(a.overage >= 0 && a.drawable >= 0 && (a.overage == 0 || a.drawable == 0), "totals of an account")
	d.check((a.overage > 0) == (a.uses != nil && a.uses.debt != nil), "debt of an account")
	d.check(a.settings != nil || a.cycle == nil && !a.terms.period.some() && len(a.terms.limits) == 0, "periods of an account")
	if d.err != nil {
		return
	}
	a.rebase()
	d.timely(a, due)
	if d.err != nil {
		return
	}
	d.state.accounts[a.id] = a
	d.state.named = append(d.state.named, a)
	d.state.schedule(a, due)
}

func (d *stateDecoder) settings(a *account, current bool) *settings {
	s := &settings{content: events.Account{ID: a.id}}
	number := d.uvarint()
	d.check(number <= uint64(len(d.planNames)), "plan of an account")
	if d.err == nil && number > 0 {
		s.content.Plan = d.planNames[number-1]
		s.plan = d.state.plans[s.content.Plan]
		s.taken = s.plan.last().number
		if !current {
			s.taken = d.uvarint()
			d.check(s.taken > 0 && s.plan.behind(s.taken) != nil, "plan of an account")
		}
	}
	s.content.StartedAt = (a.clock.now + micros(d.varint())).time()
	d.check(storable(s.content.StartedAt), "start of an account")
	if own := d.text(); own != "" {
		d.content(own, &s.content.Terms)
		d.check(own != "{}" && checkTerms(s.content.Terms) == "", "terms of an account")
	}
	d.check(!current || number > 0, "flags of an account")
	return s
}

// termsOf reads the number of terms, and behind a new number what they say.
func (d *stateDecoder) termsOf() *terms {
	number := d.uvarint()
	if number < uint64(len(d.terms)) {
		return d.terms[number]
	}
	d.check(number == uint64(len(d.terms)), "number of terms")
	said := d.text()
	t, ok := d.termsKnown[said]
	if !ok {
		t, ok = parseTerms(said)
		d.check(ok, "terms")
		d.termsKnown[said] = t
	}
	if d.err != nil {
		return nil
	}
	d.check(!d.numbered[t], "number of terms")
	d.numbered[t] = true
	d.terms = append(d.terms, t)
	return t
}

func (d *stateDecoder) cycle(a *account, flags uint64) {
	running, starts := flags&accountRunning != 0, flags&accountStarts != 0
	if flags&accountCycle == 0 {
		d.check(!running && !starts, "flags of an account")
		return
	}
	now := a.clock.now
	c := &cycle{running: running, starts: never}
	c.start = now + micros(d.varint())
	c.end = now + micros(d.varint())
	c.granted, c.outlived = d.credits(), d.credits()
	d.check(c.outlived <= a.granted-c.granted, "credits of a period")
	if starts {
		c.starts = now + micros(d.varint())
		d.check(c.starts != never, "start of a period")
	}
	c.floor = now + micros(d.varint())
	c.nth = int(d.uvarint())
	c.grant = d.grantOfPeriod()
	c.rollover = rollover{min: d.credits(), max: d.credits()}
	d.check(c.rollover.sound(events.MaxCredits), "rollover of a period")
	c.rolled = d.grantOfPeriod()
	a.cycle = c
}

func (d *stateDecoder) levels(a *account) {
	a.levels = make([]level, len(a.terms.levels))
	var last *events.Cause
	for i := range a.levels {
		flags := d.byte()
		d.check(flags <= levelFlags && (flags&levelSame == 0 || flags&levelSince != 0 && last != nil), "flags of a level")
		if flags&levelSince != 0 && flags&levelSame == 0 {
			c := d.cause(a.clock)
			d.check(last == nil || *c != *last, "cause of a level")
			last = c
		}
		a.levels[i].reached = flags&levelReached != 0
		if flags&levelSince != 0 {
			a.levels[i].since = last
		}
	}
}

func (d *stateDecoder) cause(at clock) *events.Cause {
	c := &events.Cause{Sequence: at.sequence - d.uvarint(), Index: int(d.varint())}
	if kind := d.uvarint(); kind == 0 {
		c.Kind = events.EntryKind(d.text())
		d.check(!slices.Contains(causeKinds, c.Kind), "kind of an entry")
	} else if kind <= uint64(len(causeKinds)) {
		c.Kind = causeKinds[kind-1]
	} else {
		d.fail("kind of an entry")
	}
	c.At = (at.now + micros(d.varint())).time()
	c.Source, c.ID = d.text(), d.text()
	return c
}

func (d *stateDecoder) fates() {
	var last digest
	n := d.uvarint()
	for i := uint64(0); i < n && d.err == nil; i++ {
		var key digest
		var f fate
		copy(key[:], d.bytes(len(key)))
		how := d.byte()
		if how&fateContent != 0 {
			copy(f.content[:], d.bytes(len(f.content)))
			d.check(f.content != (digest{}), "content of a grant")
		}
		f.how = ending(how &^ fateContent)
		_, open := d.state.known[key]
		d.check(f.how <= charged && !open, "ending of a grant")
		d.check(i == 0 || bytes.Compare(last[:], key[:]) < 0, "order of the grants")
		d.state.known[key], last = f, key
	}
}
