package ledger

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// version is one version of a rate card; asked is EffectiveFrom as the command
// gave it.
type version struct {
	card  events.RateCard
	asked time.Time
}

// rulesMax bounds the rules of one rate card.
const rulesMax = 1000

// Plan returns a plan as it stands. The caller must not change what it points
// to.
func (s *State) Plan(name string) (events.Plan, bool) {
	p, ok := s.plans[name]
	if !ok {
		return events.Plan{}, false
	}
	return p.last().content, true
}

// RateCard returns one version of a rate card, with Version and EffectiveFrom
// as assigned. The caller must not change what it points to.
func (s *State) RateCard(card string, number int) (events.RateCard, bool) {
	versions := s.cards[card]
	if number < 1 || number > len(versions) {
		return events.RateCard{}, false
	}
	return versions[number-1].card, true
}

// applyBroadcast applies a plan or a rate card.
func (s *State) applyBroadcast(p Point, e events.Entry, postings []Posting) (events.Decision, []Posting) {
	now, ok := s.broadcast.advance(p)
	if !ok {
		return unchanged, postings
	}
	decision := refuse(events.RefusedInvalid, "the entry has no content of its kind")
	switch {
	case e.Kind == events.EntryPlan && e.Plan != nil:
		decision = s.applyPlan(*e.Plan, now)
	case e.Kind == events.EntryRateCard && e.RateCard != nil:
		decision = s.applyRateCard(*e.RateCard, now)
	}
	postings, posting := grow(postings)
	posting.Kind = PostingKind(e.Kind)
	posting.At = now.time()
	posting.Refused = decision.Code
	return decision, postings
}

// applyPlan stores a plan. The accounts on it become due: each takes the new
// terms over at its next entry, at the latest at the tick that follows.
func (s *State) applyPlan(content events.Plan, now micros) events.Decision {
	if !events.ValidName(content.Plan) {
		return refuse(events.RefusedInvalid, "plan: expected 1 to 64 of A–Z a–z 0–9 _ -")
	}
	if fault := checkTerms(content.Terms); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	if fault := checkMerged(content.Terms); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	if fault := checkLimited(content.Terms, content.Terms); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	known, ok := s.plans[content.Plan]
	switch {
	case !ok:
		known = &plan{}
		s.plans[content.Plan] = known
	case sameContent(known.last().content, content):
		return unchanged
	}
	known.change(content, now)
	for _, a := range s.named {
		if a.settings != nil && a.settings.plan == known {
			s.schedule(a, min(a.due, now))
		}
	}
	return applied
}

// applyRateCard stores the next version of a rate card. Whether its prices
// make sense is for those who rate by it.
func (s *State) applyRateCard(card events.RateCard, now micros) events.Decision {
	if fault := checkRateCard(card); fault != "" {
		return refuse(events.RefusedInvalid, fault)
	}
	versions := s.cards[card.Card]
	next := version{asked: card.EffectiveFrom}
	card.Version = len(versions) + 1
	card.Rules = plainRules(card.Rules)
	if card.Rounding == "" {
		card.Rounding = events.RoundHalfUp
	}
	if len(versions) > 0 {
		last := versions[len(versions)-1]
		sameTime := next.asked.Equal(last.asked) || next.asked.Equal(last.card.EffectiveFrom)
		if sameTime && sameRules(last.card, card) {
			return events.Decision{Outcome: events.Unchanged, Version: last.card.Version}
		}
		if next.asked.IsZero() {
			card.EffectiveFrom = now.time()
		}
	}
	next.card = card
	s.cards[card.Card] = append(versions, next)
	return events.Decision{Outcome: events.Applied, Version: card.Version}
}

func checkRateCard(card events.RateCard) string {
	switch card.Rounding {
	case "", events.RoundHalfUp, events.RoundHalfEven, events.RoundUp, events.RoundDown:
	default:
		return "rounding: expected half_up, half_even, up or down"
	}
	switch {
	case !events.ValidName(card.Card):
		return "card: expected 1 to 64 of A–Z a–z 0–9 _ -"
	case !storable(card.EffectiveFrom):
		return "effective_from: expected years 1 to 9999"
	case len(card.Rules) == 0 || len(card.Rules) > rulesMax:
		return "rules: expected 1 to 1000"
	}
	return ""
}

// plainRules returns rules in which what is empty is absent, so that they read
// back as they were written.
func plainRules(rules []events.Rule) []events.Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		if len(rules[i].Match.Attributes) == 0 {
			rules[i].Match.Attributes = nil
		}
	}
	return rules
}

// sameRules reports whether two versions say the same but for their number and
// time.
func sameRules(a, b events.RateCard) bool {
	a.Version, b.Version = 0, 0
	a.EffectiveFrom, b.EffectiveFrom = time.Time{}, time.Time{}
	return sameContent(a, b)
}

// sameContent compares two values by their JSON, in which absent and empty
// fields, and equal times, are the same.
func sameContent(a, b any) bool {
	left, leftErr := json.Marshal(a)
	right, rightErr := json.Marshal(b)
	return leftErr == nil && rightErr == nil && bytes.Equal(left, right)
}
