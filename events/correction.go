package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Correction takes back what a usage event was charged and, unless the event is
// void, charges it anew. The grants it drew are refilled; what has expired or was
// voided since stays lost. Nothing that was written is changed.
type Correction struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	// Corrects is the entry that charges the event now: its debit, or the
	// correction before this one.
	Corrects LedgerPlace `json:"corrects"`
	// Amount is what that entry charges, and Counted what it counted in tiers.
	Amount  Credits    `json:"amount"`
	Counted []TierMove `json:"counted,omitempty"`
	// Debit is the charge that takes its place; nil makes the event void.
	Debit  *Debit `json:"debit,omitzero"`
	Reason string `json:"reason,omitzero"` // at most 512 bytes
}

// LedgerPlace is one entry of the LEDGER.
type LedgerPlace struct {
	Sequence uint64 `json:"sequence"`       // of its message
	Index    int    `json:"index,omitzero"` // in the message
	// StoredAt is the message's stream timestamp, by which the entry counts.
	StoredAt time.Time `json:"stored_at"`
}

// TierMove is what one charge did to one tier counter.
type TierMove struct {
	Card     string    `json:"card"`
	Rule     string    `json:"rule"`
	Part     TierPart  `json:"part"`
	Quantity string    `json:"quantity"`
	Period   time.Time `json:"period"` // start of the billing period
	Amount   Quantity  `json:"amount"` // above 0
}

// Counter is the counter that m moved.
func (m TierMove) Counter() Counter {
	return Counter{Card: m.Card, Rule: m.Rule, Part: m.Part, Quantity: m.Quantity}
}

// CorrectionReasonMax bounds the reason of a correction, in bytes.
const CorrectionReasonMax = 512

// CorrectionSubject is where corrections of the usage event that source and id
// name are appended, each behind the one before, so that of two at once one is
// refused.
func CorrectionSubject(partition int, source, id string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	return fmt.Sprintf("ledger.%d.%s.%s", partition, WriterCorrection, hex.EncodeToString(sum[:16]))
}

// CorrectionSubjects are all subjects of a partition's corrections.
func CorrectionSubjects(partition int) string {
	return fmt.Sprintf("ledger.%d.%s.*", partition, WriterCorrection)
}

// check finds what no writer of corrections appends.
func (c *Correction) check() *Problem {
	switch {
	case c.Source == "" || c.ID == "":
		return problem(CodeMissing, "/correction", "found no source or no id; expected a usage event")
	case c.Corrects.Sequence == 0 || c.Corrects.Index < 0 || c.Corrects.StoredAt.IsZero() || !encodableTime(c.Corrects.StoredAt):
		return problem(CodeInvalid, "/correction/corrects", "found sequence %d, index %d, stored at %s; expected an entry of the ledger",
			c.Corrects.Sequence, c.Corrects.Index, c.Corrects.StoredAt.Format(time.RFC3339Nano))
	case c.Amount < 0:
		return problem(CodeInvalid, "/correction/amount", "found %s; expected 0 or more", c.Amount)
	case len(c.Reason) > CorrectionReasonMax:
		return problem(CodeInvalid, "/correction/reason", "found %d bytes; expected at most %d", len(c.Reason), CorrectionReasonMax)
	case c.Debit != nil && (c.Debit.Source != c.Source || c.Debit.ID != c.ID):
		return problem(CodeInvalid, "/correction/debit", "found another event than the one corrected")
	}
	for i, m := range c.Counted {
		t := Tier{Part: m.Part, Quantity: m.Quantity, Period: m.Period, Amount: m.Amount}
		if p := t.check(); p != nil {
			p.Path = fmt.Sprintf("/correction/counted/%d%s", i, p.Path)
			return p
		}
	}
	if c.Debit == nil {
		return nil
	}
	if p := c.Debit.check(); p != nil {
		p.Path = "/correction" + p.Path
		return p
	}
	return nil
}
