package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Correction takes back what a usage event is charged and puts another charge, or
// none, in its place. The grants it drew are refilled; what has expired or was
// voided since stays lost. Nothing that was written is changed.
type Correction struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	// First is the event's debit. Corrects is the entry that says what the event
	// is charged now: its debit, or the correction before this one.
	First    LedgerPlace `json:"first"`
	Corrects LedgerPlace `json:"corrects"`
	// Was is the charge that stands there; nil says that the event is void.
	Was *Debit `json:"was,omitzero"`
	// Now is the charge that takes its place; nil makes the event void.
	Now    *Debit `json:"now,omitzero"`
	Reason string `json:"reason,omitzero"` // at most 512 bytes
}

// Charges returns what the event was charged, and what it is charged now.
func (c *Correction) Charges() (was, now Credits) {
	if c.Was != nil {
		was = c.Was.Amount
	}
	if c.Now != nil {
		now = c.Now.Amount
	}
	return was, now
}

// Corrected is what a correction did. What both charges have in common stays as it
// was drawn. Was less Now equals what was given back to grants, what of it is lost,
// what is owed no more, and what was forgiven; a higher charge draws the difference.
type Corrected struct {
	Was Credits `json:"was"` // charged before; 0 of an event that was void
	Now Credits `json:"now"` // charged from here on; 0 of one that is void
	// Refilled are the grants that have again what they gave, and Lost those that
	// had ended before they could. A grant that ended long before has no name.
	Refilled []GrantShare `json:"refilled,omitempty"`
	Lost     []GrantShare `json:"lost,omitempty"`
	// Expired and Voided sum up what is lost, by how the grants ended.
	Expired Credits `json:"expired,omitzero"`
	Voided  Credits `json:"voided,omitzero"`
	// Owed is overage that is owed no more, and Forgiven overage that had been
	// forgiven: that gives nobody anything back.
	Owed     Credits `json:"owed,omitzero"`
	Forgiven Credits `json:"forgiven,omitzero"`
	// Drawn are the grants that pay afterwards: what is owed still, or what the
	// event is charged more.
	Drawn []GrantShare `json:"drawn,omitempty"`
}

// GrantShare is one grant's part in a change.
type GrantShare struct {
	Grant  string  `json:"grant"`
	Amount Credits `json:"amount"`
	Left   Credits `json:"left"` // of the grant, afterwards
}

// LedgerPlace is one entry of the LEDGER.
type LedgerPlace struct {
	Sequence uint64 `json:"sequence"`       // of its message
	Index    int    `json:"index,omitzero"` // in the message
	// StoredAt is the message's stream timestamp, by which the entry counts.
	StoredAt time.Time `json:"stored_at"`
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
	case c.Was == nil && c.Now == nil:
		return problem(CodeMissing, "/correction", "found neither was nor now; expected a charge to take back, one to make, or both")
	case len(c.Reason) > CorrectionReasonMax:
		return problem(CodeInvalid, "/correction/reason", "found %d bytes; expected at most %d", len(c.Reason), CorrectionReasonMax)
	}
	if p := c.First.check("/correction/first"); p != nil {
		return p
	}
	if p := c.Corrects.check("/correction/corrects"); p != nil {
		return p
	}
	if p := c.checkCharge("/correction/was", c.Was); p != nil {
		return p
	}
	return c.checkCharge("/correction/now", c.Now)
}

func (at LedgerPlace) check(path string) *Problem {
	if at.Sequence == 0 || at.Index < 0 || at.StoredAt.IsZero() || !encodableTime(at.StoredAt) {
		return problem(CodeInvalid, path, "found sequence %d, index %d, stored at %s; expected an entry of the ledger",
			at.Sequence, at.Index, at.StoredAt.Format(time.RFC3339Nano))
	}
	return nil
}

func (c *Correction) checkCharge(path string, d *Debit) *Problem {
	if d == nil {
		return nil
	}
	if d.Source != c.Source || d.ID != c.ID {
		return problem(CodeInvalid, path, "found another event than the one corrected")
	}
	p := d.check()
	if p != nil {
		p.Path = path + strings.TrimPrefix(p.Path, "/debit")
	}
	return p
}
