package ledger_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// TestStories runs testdata/*.txt. A story has these directives; -rewrite
// writes down what they print.
//
//	fold                 one entry a line, printing its postings:
//	                       plan NAME [period= grant= priority= rollover=(MIN,MAX) thresholds=(…) hard_stop=
//	                         overage= limit= preserve= capture_more= budgets=(SCOPE@LIMIT@PER,…)
//	                         top_up=(BELOW,AMOUNT,AT_MOST[,COOLDOWN[,TIMEOUT]])]
//	                       account ID [plan= started= change= and all that plan takes]
//	                       grant ID GRANT AMOUNT [priority= effective= expires= recurrence=
//	                         rollover=(MIN,MAX) source= note= top_up=]
//	                       debit ID AMOUNT [project= key= team=]
//	                       void ID GRANT
//	                       adjust ID ADJUSTMENT AMOUNT [reason=]
//	                       decline ID REQUEST
//	                       hold ID HOLD AMOUNT [expires_in= project= key= team=]
//	                       capture ID HOLD AMOUNT
//	                       release ID HOLD
//	                       correct ID SEQUENCE OLD [NEW] (-2 is the last entry but one)
//	                       tick ID
//	                       card NAME PRICE [from=]
//	                       again (the last entry once more)
//	                     at=TIME on a line moves the clock, for good
//	balance ID           prints a balance
//	settings ID          prints an account as last set
//	card NAME VERSION    prints a version's price and start
//	due [at=] [limit=]   prints when time next changes something, and the accounts due
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{state: ledger.New(), now: when(t, "2026-01-01")}
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct {
	state    *ledger.State
	now      time.Time
	sequence uint64
	last     events.Entry
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "fold":
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			s.fold(t, &out, line)
		}
		return out.String()
	case "balance":
		b, ok := s.state.Balance(d.CmdArgs[0].Key)
		if !ok {
			return "no such account\n"
		}
		return renderBalance(b)
	case "settings":
		a, ok := s.state.Account(d.CmdArgs[0].Key)
		next := ""
		if a.Next != nil {
			next = fmt.Sprintf(" next: plan=%s started=%s", a.Next.Plan, short(a.Next.StartedAt))
		}
		return fmt.Sprintf("plan=%s started=%s set=%t%s\n", a.Plan, short(a.StartedAt), ok, next)
	case "card":
		number, err := strconv.Atoi(d.CmdArgs[1].Key)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := s.state.RateCard(d.CmdArgs[0].Key, number)
		if !ok {
			return "no such version\n"
		}
		return fmt.Sprintf("version %d: %s from %s, rounding %s\n", c.Version, c.Rules[0].Price.Flat, short(c.EffectiveFrom), c.Rounding)
	case "due":
		return s.due(t, d)
	}
	t.Fatalf("unknown directive %s", d.Cmd)
	return ""
}

func (s *story) due(t *testing.T, d *datadriven.TestData) string {
	now, limit := s.now, 100
	if arg, ok := d.Arg("at"); ok {
		now = when(t, arg.Vals[0])
	}
	d.MaybeScanArgs(t, "limit", &limit)
	next, ok := s.state.NextDue()
	if !ok {
		return "never\n"
	}
	return fmt.Sprintf("next %s, due %v\n", short(next), s.state.Due(now, limit))
}

// fold applies the entry that line describes and prints its postings.
func (s *story) fold(t *testing.T, out *strings.Builder, line string) {
	words, options := parseLine(t, line)
	if at, ok := options["at"]; ok {
		s.now = when(t, at[0])
	}
	if words[0] == "again" {
		d, postings := s.state.Apply(ledger.Point{Sequence: s.sequence, Time: s.now}, s.last, nil)
		fmt.Fprintf(out, "%s, %d postings\n", d.Outcome, len(postings))
		return
	}
	s.last = s.entryOf(t, words, options)
	s.sequence++
	d, postings := s.state.Apply(ledger.Point{Sequence: s.sequence, Time: s.now}, s.last, nil)
	for _, p := range postings {
		out.WriteString(renderPosting(p))
	}
	switch {
	case d.Outcome == events.Refused:
		fmt.Fprintf(out, "  refused %s: %s\n", d.Code, d.Detail)
	case d.Outcome == events.Unchanged:
		out.WriteString("  unchanged\n")
	}
	if d.TopUp != "" {
		fmt.Fprintf(out, "  top-up %s\n", d.TopUp)
	}
	if lack := d.Shortage; lack != nil {
		fmt.Fprintf(out, "  %s has %s of %s", lack.Scope, lack.Available, lack.Required)
		if !lack.ResetsAt.IsZero() {
			fmt.Fprintf(out, " until %s", short(lack.ResetsAt))
		}
		out.WriteString("\n")
	}
	if c := d.Corrected; c != nil {
		fmt.Fprintf(out, "  was %s, now %s%s\n", c.Was, c.Now, renderCorrected(c))
	}
	if h := d.Hold; h != nil && d.Outcome != events.Applied {
		fmt.Fprintf(out, "  %s\n", renderHold(*h))
	}
	if d.Version > 0 {
		fmt.Fprintf(out, "  version %d\n", d.Version)
	}
}

func renderCorrected(c *events.Corrected) string {
	var text strings.Builder
	for _, part := range []struct {
		name   string
		shares []events.GrantShare
	}{{"refilled", c.Refilled}, {"lost", c.Lost}, {"drawn", c.Drawn}} {
		for _, s := range part.shares {
			fmt.Fprintf(&text, "; %s %s of %s, which has %s", part.name, s.Amount, s.Grant, s.Left)
		}
	}
	for _, part := range []struct {
		name   string
		amount events.Credits
	}{{"lost to expiry", c.Expired}, {"lost to voids", c.Voided}, {"owed no more", c.Owed}, {"forgiven before", c.Forgiven}} {
		if part.amount != 0 {
			fmt.Fprintf(&text, "; %s %s", part.amount, part.name)
		}
	}
	return text.String()
}

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

func short(t time.Time) string {
	if t.IsZero() {
		return "always"
	}
	return strings.TrimSuffix(strings.TrimSuffix(t.Format("2006-01-02T15:04:05.999999"), ":00"), "T00:00")
}

func renderPosting(p ledger.Posting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", short(p.At), strings.TrimSpace(p.Account+" "+string(p.Kind)))
	if p.Grant != "" {
		fmt.Fprintf(&b, " %s", p.Grant)
	}
	if p.Hold != "" {
		fmt.Fprintf(&b, " %s", p.Hold)
	}
	if p.Refused != "" {
		fmt.Fprintf(&b, " REFUSED")
	}
	for _, delta := range []struct {
		name   string
		amount events.Credits
	}{
		{"granted", p.Granted},
		{"charged", p.Charged},
		{"drawn", p.Drawn},
		{"expired", p.Expired},
		{"voided", p.Voided},
		{"forgiven", p.Forgiven},
	} {
		if delta.amount != 0 {
			fmt.Fprintf(&b, " %s=%s", delta.name, delta.amount)
		}
	}
	for _, d := range p.Draws {
		fmt.Fprintf(&b, " (%s from %s leaves %s)", d.Amount, d.Grant, d.Left)
	}
	if p.Account != "" {
		fmt.Fprintf(&b, " -> available=%s remaining=%s overage=%s", p.Available, p.Remaining, p.Overage)
		if p.Held != 0 {
			fmt.Fprintf(&b, " held=%s", p.Held)
		}
	}
	return b.String() + "\n"
}

func renderHold(h events.HoldBalance) string {
	text := fmt.Sprintf("hold %s of %s until %s is %s", h.ID, h.Amount, short(h.ExpiresAt), h.State)
	if h.Captured != 0 {
		text += fmt.Sprintf(" with %s", h.Captured)
	}
	for _, scope := range []struct{ name, value string }{{"project", h.Project}, {"key", h.Key}} {
		if scope.value != "" {
			text += fmt.Sprintf(" %s:%s", scope.name, scope.value)
		}
	}
	return text
}

func renderTopUp(u events.TopUpBalance) string {
	text := "top-up " + string(u.State)
	if r := u.Request; r != nil {
		text += fmt.Sprintf(": %s of %s below %s from %s to %s since %d", r.ID, r.Amount, r.Below, short(r.RequestedAt), short(r.ExpiresAt), u.Since.Sequence)
	}
	if !u.NextAt.IsZero() {
		text += ", next " + short(u.NextAt)
	}
	return text + "\n"
}

func renderBalance(b events.Balance) string {
	var out strings.Builder
	fmt.Fprintf(&out, "available=%s overage=%s sequence=%d\n", b.Available, b.Overage, b.Sequence)
	fmt.Fprintf(&out, "granted=%s remaining=%s drawn=%s expired=%s voided=%s\n", b.Granted, b.Remaining, b.Drawn, b.Expired, b.Voided)
	fmt.Fprintf(&out, "charged=%s forgiven=%s\n", b.Charged, b.Forgiven)
	if p := b.Period; p != nil {
		fmt.Fprintf(&out, "period %s to %s granted=%s\n", short(p.Start), short(p.End), p.Granted)
	}
	if n := b.Next; n != nil {
		fmt.Fprintf(&out, "from %s plan %s\n", short(n.At), n.Plan)
	}
	for _, g := range b.Grants {
		fmt.Fprintf(&out, "grant %s %s of %s priority=%d source=%s from %s", g.ID, g.Remaining, g.Amount, g.Priority, g.Source, short(g.EffectiveAt))
		if !g.ExpiresAt.IsZero() {
			fmt.Fprintf(&out, " to %s", short(g.ExpiresAt))
		}
		if !g.RecursAt.IsZero() {
			fmt.Fprintf(&out, " again %s", short(g.RecursAt))
		}
		out.WriteString("\n")
	}
	if b.Held != 0 {
		fmt.Fprintf(&out, "held=%s\n", b.Held)
	}
	for _, h := range b.Holds {
		fmt.Fprintf(&out, "%s\n", renderHold(h))
	}
	for _, u := range b.Budgets {
		fmt.Fprintf(&out, "budget %s of %s per %s: spent %s held %s of %s", u.Scope, u.Budget, u.Per, u.Spent, u.Held, u.Limit)
		if !u.End.IsZero() {
			fmt.Fprintf(&out, " until %s", short(u.End))
		}
		if u.Exceeded {
			out.WriteString(" EXCEEDED")
		}
		if u.Since != nil {
			fmt.Fprintf(&out, " since %d", u.Since.Sequence)
		}
		out.WriteString("\n")
	}
	if b.TopUp != nil {
		out.WriteString(renderTopUp(*b.TopUp))
	}
	for _, l := range b.Levels {
		fmt.Fprintf(&out, "level %s %s at %s", l.Kind, l.Threshold, l.At)
		if l.Reached {
			out.WriteString(" REACHED")
		}
		if c := l.Since; c != nil {
			fmt.Fprintf(&out, " since %d (%s)", c.Sequence, strings.Join(slices.DeleteFunc([]string{string(c.Kind), c.Source, c.ID}, func(s string) bool { return s == "" }), " "))
		}
		out.WriteString("\n")
	}
	return out.String()
}
