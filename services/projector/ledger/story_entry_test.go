package ledger_test

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/drawdown-credits/drawdown/events"
)

func parseLine(t *testing.T, line string) (words []string, options map[string][]string) {
	command, args, err := datadriven.ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	words, options = []string{command}, map[string][]string{}
	for _, arg := range args {
		if len(arg.Vals) == 0 {
			words = append(words, arg.Key)
			continue
		}
		options[arg.Key] = arg.Vals
	}
	return words, options
}

func (s *story) entryOf(t *testing.T, words []string, options map[string][]string) events.Entry {
	kind, name := events.EntryKind(words[0]), words[1]
	option := func(key string) string {
		if v, ok := options[key]; ok {
			return v[0]
		}
		return ""
	}
	timeOf := func(key string) time.Time {
		if option(key) == "" {
			return time.Time{}
		}
		return when(t, option(key))
	}
	e := events.Entry{Kind: kind, Account: name}
	switch kind {
	case events.EntryDebit:
		e.Debit = &events.Debit{Source: "test", ID: "u", Amount: events.MustCredits(words[2])}
		e.Debit.Data.Project, e.Debit.Data.Key = option("project"), option("key")
		if team := option("team"); team != "" {
			e.Debit.Data.Attributes = map[string]string{"team": team}
		}
	case events.EntryGrant:
		e.Grant = &events.Grant{
			ID: words[2], Amount: events.MustCredits(words[3]), Priority: priorityOf(t, option("priority")),
			EffectiveAt: timeOf("effective"), ExpiresAt: timeOf("expires"),
			Source: events.GrantSource(option("source")), Note: option("note"), Recurrence: option("recurrence"), TopUp: option("top_up"),
		}
		if v, ok := options["rollover"]; ok {
			e.Grant.Rollover = rolloverOf(v)
		}
	case events.EntryAdjust:
		e.Adjust = &events.Adjustment{ID: words[2], Amount: events.MustCredits(words[3]), Reason: option("reason")}
	case events.EntryDecline:
		e.Decline = &events.Decline{TopUp: words[2]}
	case events.EntryVoid:
		e.Void = &events.Void{Grant: words[2]}
	case events.EntryHold:
		e.Hold = &events.Hold{
			ID: words[2], Amount: events.MustCredits(words[3]), Project: option("project"), Key: option("key"),
		}
		if team := option("team"); team != "" {
			e.Hold.Attributes = map[string]string{"team": team}
		}
		if life := option("expires_in"); life != "" {
			if err := e.Hold.ExpiresIn.UnmarshalText([]byte(life)); err != nil {
				t.Fatal(err)
			}
		}
	case events.EntryCapture:
		e.Capture = &events.Capture{Hold: words[2], Amount: events.MustCredits(words[3])}
	case events.EntryRelease:
		e.Release = &events.Release{Hold: words[2]}
	case "correct":
		number, err := strconv.Atoi(words[2])
		if err != nil {
			t.Fatal(err)
		}
		sequence := uint64(number)
		if number < 0 {
			sequence = s.sequence + 1 - uint64(-number)
		}
		e.Kind = events.EntryCorrection
		e.Correction = correctionOf(t, sequence, words[3:], option)
	case events.EntryTick:
	case events.EntryAccount:
		e.Settings = &events.Account{ID: name, Plan: option("plan"), StartedAt: timeOf("started"), Terms: termsOf(t, options), Change: events.PlanChange(option("change"))}
	case events.EntryPlan:
		e.Account, e.Plan = "", &events.Plan{Plan: name, Terms: termsOf(t, options)}
	case "card":
		price := events.MustQuantity(words[2])
		e = events.Entry{Kind: events.EntryRateCard, RateCard: &events.RateCard{
			Card: name, EffectiveFrom: timeOf("from"), Rules: []events.Rule{{Name: "all", Price: events.Price{Flat: &price}}},
		}}
	}
	return e
}

// correctionOf reads "WAS [NOW]" of the entry at sequence, each an amount or void.
// first is the event's debit, when that is another; to_project is that of NOW.
func correctionOf(t *testing.T, sequence uint64, words []string, option func(string) string) *events.Correction {
	at := events.LedgerPlace{Sequence: sequence}
	c := &events.Correction{Source: "test", ID: "u", First: at, Corrects: at}
	if first := option("first"); first != "" {
		var err error
		if c.First.Sequence, err = strconv.ParseUint(first, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	charge := func(word, project string) *events.Debit {
		if word == "void" {
			return nil
		}
		return &events.Debit{Source: "test", ID: "u", Amount: events.MustCredits(word), Data: events.UsageData{Project: project}}
	}
	c.Was = charge(words[0], option("project"))
	if len(words) > 1 {
		c.Now = charge(words[1], cmp.Or(option("to_project"), option("project")))
	}
	return c
}

func termsOf(t *testing.T, options map[string][]string) events.Terms {
	terms := events.Terms{Thresholds: options["thresholds"]}
	if v, ok := options["period"]; ok {
		terms.Period = v[0]
	}
	if v, ok := options["overage"]; ok {
		terms.Overage = v[0]
	}
	if v, ok := options["limit"]; ok {
		limit := events.MustCredits(v[0])
		terms.OverageLimit = &limit
	}
	if v, ok := options["preserve"]; ok {
		preserve := v[0] == "true"
		terms.PreserveOverage = &preserve
	}
	for _, text := range options["budgets"] {
		parts := strings.Split(text, "@")
		terms.Budgets = append(terms.Budgets, events.Budget{Scope: parts[0], Limit: events.MustCredits(parts[1]), Per: parts[2]})
	}
	if v, ok := options["top_up"]; ok {
		terms.TopUp = topUpOf(t, v)
	}
	if v, ok := options["capture_more"]; ok {
		terms.CaptureMore = new(v[0] == "true")
	}
	if v, ok := options["grant"]; ok {
		terms.Grant = &events.PlanGrant{Amount: events.MustCredits(v[0])}
	}
	if v, ok := options["rollover"]; ok {
		terms.Grant.Rollover = rolloverOf(v)
	}
	if v, ok := options["priority"]; ok {
		terms.Grant.Priority = priorityOf(t, v[0])
	}
	if v, ok := options["hard_stop"]; ok {
		hardStop := events.MustCredits(v[0])
		terms.HardStopAt = &hardStop
	}
	return terms
}

// topUpOf reads (BELOW,AMOUNT,AT_MOST[,COOLDOWN[,TIMEOUT]]).
func topUpOf(t *testing.T, values []string) *events.TopUp {
	atMost, err := strconv.Atoi(values[2])
	if err != nil {
		t.Fatal(err)
	}
	u := &events.TopUp{Below: events.MustCredits(values[0]), Amount: events.MustCredits(values[1]), AtMostPerPeriod: atMost}
	for i, wait := range []*events.Duration{&u.Cooldown, &u.Timeout} {
		if len(values) > 3+i {
			if err := wait.UnmarshalText([]byte(values[3+i])); err != nil {
				t.Fatal(err)
			}
		}
	}
	return u
}

// rolloverOf reads (MIN,MAX).
func rolloverOf(values []string) *events.Rollover {
	return &events.Rollover{Min: events.MustCredits(values[0]), Max: events.MustCredits(values[1])}
}

func priorityOf(t *testing.T, text string) *uint8 {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		t.Fatal(err)
	}
	priority := uint8(n)
	return &priority
}

// when reads a time in UTC, as exactly as it is given.
func when(t testing.TB, text string) time.Time {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	t.Fatalf("time %q: expected 2006-01-02T15:04:05 or less", text)
	return time.Time{}
}
