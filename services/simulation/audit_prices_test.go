package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// auditPrices works out what every debit must charge, in the order of the
// ledger, counting by itself what tiers count.
func (w *world) auditPrices(charges map[event]charge) string {
	type charged struct {
		charge
		given
		published time.Time
	}
	var all []charged
	for _, m := range w.published() {
		for i, e := range m.events {
			if c, ok := charges[eventAt(m.Message, i)]; ok {
				all = append(all, charged{c, e, m.Time})
			}
		}
	}
	slices.SortFunc(all, func(a, b charged) int {
		if a.charge.place.before(b.charge.place) {
			return -1
		}
		return 1
	})
	counters := map[counter]int64{}
	for _, c := range all {
		var expected []string
		right := false
		for _, s := range w.standings(c.given.account, c.published, c.charge.at) {
			period := s.period(c.given.at)
			of := func(rule string) counter { return counter{c.given.account, rule, period} }
			rule, uc, counts := price(c.call, s.plan, func(rule string) int64 { return counters[of(rule)] })
			want := fmt.Sprintf("%s %s %d by %s", c.given.account, c.given.id, uc, rule)
			if counts > 0 {
				want += fmt.Sprintf(", counted %d behind %d since %s", counts, counters[of(rule)], period.Format(time.RFC3339Nano))
			}
			if right = want == c.charge.String(); right {
				counters[of(rule)] += counts
				break
			}
			expected = append(expected, want)
		}
		if !right {
			return fmt.Sprintf("the charge of %+v is %s; expected %s", c.given, c.charge, strings.Join(expected, " or "))
		}
	}
	return ""
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
