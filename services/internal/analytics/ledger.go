package analytics

import (
	"context"
	"fmt"

	"github.com/drawdown-credits/drawdown/events"
)

// Bounds of one page of a ledger.
const (
	PageDefault = 100
	PageMax     = 1000
)

// Page is a part of an account's ledger, newest first.
type Page struct {
	Postings []Posting `json:"postings"`
	// Next is the cursor of the page that follows; 0 when there is none.
	Next uint64 `json:"next,omitzero"`
}

const selectPostings = `SELECT account, account_seq, kind, at, recorded_at, ledger_seq, entry_index, grant_id, hold_id, refused,
	granted_uc, drawn_uc, expired_uc, voided_uc, charged_uc, forgiven_uc, available_uc, held_uc, overage_uc, remaining_uc,
	draw_grants, draw_amounts_uc, draw_left_uc, event_source, event_id, event_time, operation, project, key,
	usage_seq, usage_index, card, card_version, rule, arithmetic, reason FROM ledger `

// Ledger returns at most limit postings of account, newest first: those before
// the posting with number cursor, or the newest when cursor is 0. A limit of 0
// means PageDefault; more than PageMax is PageMax.
func (db *DB) Ledger(ctx context.Context, account string, cursor uint64, limit int) (Page, error) {
	if limit <= 0 {
		limit = PageDefault
	}
	limit = min(limit, PageMax)
	if cursor == 0 {
		cursor = ^uint64(0)
	}
	postings, err := db.postings(ctx, "WHERE account = ? AND account_seq > 0 AND account_seq < ? ORDER BY account_seq DESC LIMIT ?", account, cursor, limit)
	if err != nil {
		return Page{}, fmt.Errorf("read the ledger of account %s: %w", account, err)
	}
	page := Page{Postings: postings}
	if n := len(postings); n == limit && postings[n-1].Number > 1 {
		page.Next = postings[n-1].Number
	}
	return page, nil
}

// Charge is the posting of one usage event's debit.
type Charge struct {
	Posting Posting
	// Before is the account's balance when the debit came; Posting has the one
	// after.
	Before Standing
}

// Explain returns the debit of the usage event with this source and id, the
// first when there are several. It returns ErrNotFound when ClickHouse holds
// none.
func (db *DB) Explain(ctx context.Context, source, id string) (Charge, error) {
	postings, err := db.postings(ctx, "WHERE event_id = ? AND event_source = ? AND kind = 'debit' ORDER BY ledger_seq LIMIT 1", id, source)
	if err != nil {
		return Charge{}, fmt.Errorf("explain event %s of %s: %w", id, source, err)
	}
	if len(postings) == 0 {
		return Charge{}, fmt.Errorf("explain event %s of %s: %w", id, source, ErrNotFound)
	}
	out := Charge{Posting: postings[0]}
	before, err := db.postings(ctx, "WHERE account = ? AND account_seq = ? LIMIT 1", out.Posting.Account, out.Posting.Number-1)
	if err != nil {
		return out, fmt.Errorf("read the balance before event %s of %s: %w", id, source, err)
	}
	if len(before) > 0 {
		out.Before = before[0].Balance
	}
	return out, nil
}

// postings reads the rows of table ledger that where asks for.
func (db *DB) postings(ctx context.Context, where string, args ...any) ([]Posting, error) {
	rows, err := db.conn.Query(ctx, selectPostings+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []Posting{}
	for rows.Next() {
		var r row
		if err := rows.Scan(r.columns()...); err != nil {
			return nil, err
		}
		out = append(out, r.complete())
	}
	return out, rows.Err()
}

// row is one row on its way to a Posting.
type row struct {
	posting            Posting
	event              Event
	credits            [10]int64
	grants             []string
	drawAmounts, lefts []int64
}

// columns are where selectPostings' columns go.
func (r *row) columns() []any {
	p, e := &r.posting, &r.event
	to := []any{&p.Account, &p.Number, &p.Kind, &p.At, &p.RecordedAt, &p.Sequence, &p.Index, &p.Grant, &p.Hold, &p.Refused}
	for i := range r.credits {
		to = append(to, &r.credits[i])
	}
	return append(to, &r.grants, &r.drawAmounts, &r.lefts, &e.Source, &e.ID, &e.Time, &e.Operation, &e.Project, &e.Key,
		&e.UsageSequence, &e.UsageIndex, &e.Card, &e.Version, &e.Rule, &e.Arithmetic, &p.Reason)
}

func (r *row) complete() Posting {
	p := r.posting
	for i, to := range []*events.Credits{
		&p.Granted, &p.Drawn, &p.Expired, &p.Voided, &p.Charged, &p.Forgiven,
		&p.Balance.Available, &p.Balance.Held, &p.Balance.Overage, &p.Balance.Remaining,
	} {
		*to = events.Credits(r.credits[i])
	}
	for i, grant := range r.grants {
		p.Draws = append(p.Draws, Draw{Grant: grant, Amount: events.Credits(r.drawAmounts[i]), Left: events.Credits(r.lefts[i])})
	}
	if r.event.ID != "" {
		p.Event = &r.event
	}
	return p
}
