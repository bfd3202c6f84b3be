package ledger_test

import (
	"fmt"
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
