package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// rated is a charge with the event that it is for.
type rated struct {
	charge
	given
	published time.Time
}

// auditPrices works out what every debit must charge, in the order of the ledger,
// counting by itself what tiers count.
func (w *world) auditPrices(charges map[event]charge) string {
	all := map[place]rated{}
	for _, m := range w.published() {
		for i, e := range m.events {
			if c, ok := charges[eventAt(m.Message, i)]; ok {
				all[c.place] = rated{c, e, m.Time}
			}
		}
	}
	counts := counts{debits: map[counter]int64{}, corrections: map[string][]correction{}}
	for _, m := range w.server.Messages(events.StreamLedger) {
		for i, e := range w.chunk(m).Entries {
			if c := e.Correction; c != nil {
				counts.correct(e.Account, c.Was, -1)
				counts.correct(e.Account, c.Now, 1)
			}
			r, ok := all[place{m.Sequence, i}]
			if !ok {
				continue
			}
			if expected := w.auditPrice(r, counts); len(expected) > 0 {
				return fmt.Sprintf("the charge of %+v is %s; expected %s", r.given, r.charge, strings.Join(expected, " or "))
			}
		}
	}
	return ""
}

// auditPrice counts a charge and returns nothing, or what it could have been if it
// is none of that.
func (w *world) auditPrice(r rated, c counts) (expected []string) {
	for _, s := range w.standings(r.given.account, r.published, r.charge.at) {
		period := s.period(r.given.at)
		corrected := len(c.corrections[r.given.account])
		known := 0 // a rater hears of corrections while it rates
		if !w.calm.IsZero() && !r.published.Before(w.calm) {
			known = corrected
		}
		for ; known <= corrected; known++ {
			of := func(rule string) counter { return counter{r.given.account, rule, period} }
			rule, uc, counted := price(r.call, s.plan, func(rule string) int64 { return c.of(of(rule), known) })
			want := fmt.Sprintf("%s %s %d by %s", r.given.account, r.given.id, uc, rule)
			if counted > 0 {
				want += fmt.Sprintf(", counted %d behind %d since %s", counted, c.of(of(rule), known), period.Format(time.RFC3339Nano))
			}
			if want == r.charge.String() {
				c.debits[of(rule)] += counted
				return nil
			}
			expected = append(expected, want)
		}
	}
	return expected
}

// counts are what tiers count: what the debits in the ledger add up to, and what
// the corrections change, in the order of the ledger.
type counts struct {
	debits      map[counter]int64
	corrections map[string][]correction // by account
}

// correction is what a correction takes out of a counter, or puts in.
type correction struct {
	counter
	by int64
}

func (c counts) correct(account string, d *events.Debit, sign int64) {
	if d == nil || len(d.Tiers) == 0 {
		return
	}
	t := d.Tiers[0] // a rule of the card has one at most
	c.corrections[account] = append(c.corrections[account], correction{counter{account, d.Rule, t.Period}, sign * whole(t.Amount.String())})
}

// of is where a counter stands with the first corrections of its account.
func (c counts) of(counted counter, corrections int) int64 {
	sum := c.debits[counted]
	for _, one := range c.corrections[counted.account][:corrections] {
		if one.rule == counted.rule && one.period.Equal(counted.period) {
			sum += one.by
		}
	}
	return max(0, sum)
}

// whole reads a whole quantity.
func whole(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// String says what is charged and why.
func (c charge) String() string {
	text := fmt.Sprintf("%s %s %d by %s", c.account, c.ID, int64(c.Amount), c.Rule)
	for _, t := range c.Tiers {
		text += fmt.Sprintf(", counted %s behind %s since %s", t.Amount, t.Before, t.Period.Format(time.RFC3339Nano))
	}
	return text
}

// standing is what counts of an account when it is rated: its plan, and what its
// billing periods are counted by.
type standing struct {
	plan   string
	anchor time.Time
	length time.Duration // 0: calendar months
}

// period is the start of the billing period that contains at.
func (s standing) period(at time.Time) time.Time {
	if s.length == 0 {
		return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	n := at.Sub(s.anchor) / s.length
	if at.Before(s.anchor.Add(n * s.length)) {
		n--
	}
	return s.anchor.Add(n * s.length)
}

// standings are what an account stood at, from when an event was published until
// it was charged: a rater knows what was set before, and perhaps what was set
// since.
func (w *world) standings(account string, from, to time.Time) []standing {
	now, during := standing{}, map[standing]bool{}
	lengths := map[string]time.Duration{"minute": time.Minute, "owing": 90 * time.Second}
	for _, m := range w.server.History("KV_" + events.BucketCatalog) {
		if m.Time.After(to) {
			break
		}
		if !strings.HasSuffix(m.Subject, "."+events.CatalogAccount+account) {
			continue
		}
		if m.Time.After(from) {
			during[now] = true
		}
		var settings events.Account
		if err := json.Unmarshal(m.Data, &settings); err != nil {
			panic(err)
		}
		now = standing{plan: settings.Plan, anchor: settings.StartedAt, length: lengths[settings.Plan]}
		if now.length == 0 {
			now.anchor = time.Time{}
		}
	}
	during[now] = true
	return slices.Collect(maps.Keys(during))
}
