package clickhouse

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// kindNone marks the row of a message that changed nothing.
const kindNone = "none"

// ledgerRows are rows of table ledger.
type ledgerRows struct {
	*columns
	account, kind, refused                             *proto.ColLowCardinality[string]
	accountSeq, ledgerSeq, usageSeq                    *proto.ColUInt64
	entryIndex, posting, usageIndex, cardVersion       *proto.ColUInt32
	at, recordedAt, eventTime                          moments
	granted, drawn, expired, voided, charged, forgiven *proto.ColInt64
	available, held, overage, remaining                *proto.ColInt64
	grant, hold, eventID, arithmetic                   *proto.ColStr
	drawGrants                                         *proto.ColArr[string]
	drawAmounts, drawLeft                              *proto.ColArr[int64]
	eventSource, operation, project, key, card, rule   *proto.ColLowCardinality[string]

	// Of corrections.
	correctsSeq                      *proto.ColUInt64
	correctsIndex                    *proto.ColUInt32
	wasCalls, nowCalls               *proto.ColUInt8
	was, now                         *proto.ColInt64
	wasOperation, wasProject, wasKey *proto.ColLowCardinality[string]
	reason                           *proto.ColStr
}

func newLedgerRows() *ledgerRows {
	c := newColumns(TableLedger)
	r := &ledgerRows{
		columns: c,
		account: c.word("account"), accountSeq: c.uint64("account_seq"), kind: c.word("kind"),
		at: c.moment("at"), recordedAt: c.moment("recorded_at"),
		ledgerSeq: c.uint64("ledger_seq"), entryIndex: c.uint32("entry_index"), posting: c.uint32("posting"),
		grant: c.text("grant_id"), hold: c.text("hold_id"), refused: c.word("refused"),
		granted: c.int64("granted_uc"), drawn: c.int64("drawn_uc"), expired: c.int64("expired_uc"),
		voided: c.int64("voided_uc"), charged: c.int64("charged_uc"), forgiven: c.int64("forgiven_uc"),
		available: c.int64("available_uc"), held: c.int64("held_uc"), overage: c.int64("overage_uc"),
		remaining: c.int64("remaining_uc"), drawGrants: c.texts("draw_grants"),
		drawAmounts: c.int64s("draw_amounts_uc"), drawLeft: c.int64s("draw_left_uc"),
		eventSource: c.word("event_source"), eventID: c.text("event_id"), eventTime: c.moment("event_time"),
		operation: c.word("operation"), project: c.word("project"), key: c.word("key"),
		usageSeq: c.uint64("usage_seq"), usageIndex: c.uint32("usage_index"),
		card: c.word("card"), cardVersion: c.uint32("card_version"), rule: c.word("rule"),
		arithmetic: c.text("arithmetic"),

		correctsSeq: c.uint64("corrects_seq"), correctsIndex: c.uint32("corrects_index"),
		wasCalls: c.uint8("was_calls"), was: c.int64("was_uc"),
		wasOperation: c.word("was_operation"), wasProject: c.word("was_project"), wasKey: c.word("was_key"),
		nowCalls: c.uint8("now_calls"), now: c.int64("now_uc"), reason: c.text("reason"),
	}
	c.sealed()
	return r
}

func (r *ledgerRows) row(i int) Row {
	return Row{
		Sequence: r.ledgerSeq.Row(i), Entry: int(r.entryIndex.Row(i)), Posting: int(r.posting.Row(i)),
		Account: r.account.Row(i), Kind: r.kind.Row(i), Refused: r.refused.Row(i), Source: r.eventSource.Row(i), ID: r.eventID.Row(i),
		Amount: events.Credits(r.charged.Row(i)), Granted: events.Credits(r.granted.Row(i)), Available: events.Credits(r.available.Row(i)),
	}
}

// origin says which entry of which message a row came from. Posting numbers the
// message's postings from 0.
type origin struct {
	sequence       uint64
	recordedAt     time.Time
	entry, posting int
}

// put appends one posting of an entry. Only the entry's own posting, its last,
// tells of its debit or correction.
func (r *ledgerRows) put(from origin, p ledger.Posting, debit *events.Debit, correction *events.Correction) {
	r.account.Append(p.Account)
	r.accountSeq.Append(p.Number)
	r.kind.Append(string(p.Kind))
	r.at.put(p.At)
	r.putOrigin(from)
	r.grant.Append(p.Grant)
	r.hold.Append(p.Hold)
	r.refused.Append(p.Refused)
	r.granted.Append(int64(p.Granted))
	r.drawn.Append(int64(p.Drawn))
	r.expired.Append(int64(p.Expired))
	r.voided.Append(int64(p.Voided))
	r.charged.Append(int64(p.Charged))
	r.forgiven.Append(int64(p.Forgiven))
	r.available.Append(int64(p.Available))
	r.held.Append(int64(p.Held))
	r.overage.Append(int64(p.Overage))
	r.remaining.Append(int64(p.Remaining))
	r.putDraws(p.Draws)
	if correction != nil {
		debit = putIn(correction)
	}
	r.putDebit(debit)
	r.putCorrection(correction)
}

// putNone appends the row of a message that changed nothing.
func (r *ledgerRows) putNone(from origin) {
	r.put(from, ledger.Posting{Kind: kindNone, At: from.recordedAt}, nil, nil)
}

func (r *ledgerRows) putOrigin(from origin) {
	r.recordedAt.put(from.recordedAt)
	r.ledgerSeq.Append(from.sequence)
	r.entryIndex.Append(uint32(from.entry))
	r.posting.Append(uint32(from.posting))
}

// putDraws writes the elements straight into the arrays' own columns.
func (r *ledgerRows) putDraws(draws []ledger.Draw) {
	for _, d := range draws {
		r.drawGrants.Data.Append(d.Grant)
		r.drawAmounts.Data.Append(int64(d.Amount))
		r.drawLeft.Data.Append(int64(d.Left))
	}
	end := uint64(r.drawGrants.Data.Rows())
	r.drawGrants.Offsets.Append(end)
	r.drawAmounts.Offsets.Append(end)
	r.drawLeft.Offsets.Append(end)
}

func (r *ledgerRows) putDebit(d *events.Debit) {
	if d == nil {
		r.eventTime.putNone()
		d = &events.Debit{}
	} else {
		r.eventTime.put(d.Time)
	}
	r.eventSource.Append(d.Source)
	r.eventID.Append(d.ID)
	r.operation.Append(d.Data.Operation)
	r.project.Append(d.Data.Project)
	r.key.Append(d.Data.Key)
	r.usageSeq.Append(d.Position.Sequence)
	r.usageIndex.Append(uint32(d.Position.Index))
	r.card.Append(d.Card)
	r.cardVersion.Append(uint32(d.Version))
	r.rule.Append(d.Rule)
	r.arithmetic.Append(d.Arithmetic)
}

// putIn is the charge that a correction puts in, or, when it makes the event void,
// the event alone.
func putIn(c *events.Correction) *events.Debit {
	if c.Now != nil {
		return c.Now
	}
	return &events.Debit{Source: c.Source, ID: c.ID, Time: c.Was.Time, Position: c.Was.Position}
}

func (r *ledgerRows) putCorrection(c *events.Correction) {
	if c == nil {
		c = &events.Correction{}
	}
	r.correctsSeq.Append(c.Corrects.Sequence)
	r.correctsIndex.Append(uint32(c.Corrects.Index))
	was, now := c.Charges()
	r.was.Append(int64(was))
	r.now.Append(int64(now))
	r.wasCalls.Append(calls(c.Was))
	r.nowCalls.Append(calls(c.Now))
	taken := c.Was
	if taken == nil {
		taken = &events.Debit{}
	}
	r.wasOperation.Append(taken.Data.Operation)
	r.wasProject.Append(taken.Data.Project)
	r.wasKey.Append(taken.Data.Key)
	r.reason.Append(c.Reason)
}

// calls counts the call of a charge.
func calls(d *events.Debit) uint8 {
	if d == nil {
		return 0
	}
	return 1
}
