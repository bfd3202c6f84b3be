package events_test

import (
	"errors"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

func TestOnlyWhatAWriterAppendsIsTheLedgers(t *testing.T) {
	const partitions = 4
	account := func(partition int) string {
		for id := "a"; ; id += "a" {
			if events.Partition(id, partitions) == partition {
				return id
			}
		}
	}
	chunk := func(entries ...events.Entry) events.Chunk { return events.Chunk{Entries: entries} }
	debit := func(partition int) events.Entry {
		return events.Entry{Kind: events.EntryDebit, Account: account(partition)}
	}
	grant := events.Entry{Kind: events.EntryGrant, Account: account(2)}
	tick := events.Entry{Kind: events.EntryTick, Account: account(2)}
	plan := events.Entry{Kind: events.EntryPlan}
	fix := events.Entry{Kind: events.EntryCorrection, Account: account(2), Correction: &events.Correction{Source: "/s", ID: "1"}}
	span := events.Chunk{Span: &events.Span{}}
	for name, c := range map[string]struct {
		subject string
		chunk   events.Chunk
		foreign bool
	}{
		"a rater's debits":                         {"ledger.2.usage", chunk(debit(2), debit(2)), false},
		"a rater's span without debits":            {"ledger.2.usage", span, false},
		"a command about an account":               {"ledger.2.command", chunk(grant), false},
		"a tick":                                   {"ledger.2.clock", chunk(tick), false},
		"a correction of the subject's event":      {events.CorrectionSubject(2, "/s", "1"), chunk(fix), false},
		"a correction of another event":            {events.CorrectionSubject(2, "/s", "2"), chunk(fix), true},
		"a correction in another partition":        {events.CorrectionSubject(3, "/s", "1"), chunk(fix), true},
		"a correction among commands":              {"ledger.2.command", chunk(fix), true},
		"a debit among corrections":                {events.CorrectionSubject(2, "/s", "1"), chunk(debit(2)), true},
		"corrections of nothing":                   {"ledger.2.correction", events.Chunk{}, true},
		"corrections for every partition":          {"ledger.all.correction.ab", events.Chunk{}, true},
		"corrections of a number otherwise":        {"ledger.02.correction.ab", events.Chunk{}, true},
		"a plan for every partition":               {"ledger.all.command", chunk(plan), false},
		"the last partition":                       {"ledger.3.usage", chunk(debit(3)), false},
		"the first partition there is not":         {"ledger.4.usage", span, true},
		"a partition far beyond":                   {"ledger.99999999999999999999.usage", span, true},
		"a partition below all":                    {"ledger.-1.usage", span, true},
		"a number written otherwise":               {"ledger.02.usage", span, true},
		"a partition that is no number":            {"ledger.elsewhere.usage", span, true},
		"a writer there is not":                    {"ledger.2.auditor", events.Chunk{}, true},
		"a subject of another stream":              {"usage.2.acme", events.Chunk{}, true},
		"a subject with more tokens":               {"ledger.2.usage.more", span, true},
		"no subject":                               {"", events.Chunk{}, true},
		"a debit among commands":                   {"ledger.2.command", chunk(grant, debit(2)), true},
		"a grant among debits":                     {"ledger.2.usage", chunk(debit(2), grant), true},
		"a tick among commands":                    {"ledger.2.command", chunk(tick), true},
		"a debit among ticks":                      {"ledger.2.clock", chunk(debit(2)), true},
		"a span on a command's subject":            {"ledger.2.command", span, true},
		"a span for every partition":               {"ledger.all.command", span, true},
		"an account of another partition":          {"ledger.2.usage", chunk(debit(2), debit(1)), true},
		"an account's entry for all":               {"ledger.all.command", chunk(grant), true},
		"a plan for one partition":                 {"ledger.2.command", chunk(plan), true},
		"debits for every partition":               {"ledger.all.usage", chunk(debit(2)), true},
		"the clock's subject for all, and no more": {"ledger.all.clock", events.Chunk{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := events.CheckOrigin(c.subject, c.chunk, partitions)
			if (err != nil) != c.foreign || err != nil && !errors.Is(err, events.ErrInvalid) {
				t.Errorf("%v; want it refused: %t", err, c.foreign)
			}
		})
	}
}
