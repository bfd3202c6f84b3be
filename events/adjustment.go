package events

import (
	"fmt"
	"unicode/utf8"
)

// AdjustmentGrantPrefix, before the id of an adjustment above 0, names its
// grant.
const AdjustmentGrantPrefix = "adjust:"

// adjustmentReasonMax bounds the reason of an adjustment, in bytes.
const adjustmentReasonMax = 512

// Adjustment corrects an account by hand: an amount above 0 issues a grant, one
// below 0 charges the account as usage does.
type Adjustment struct {
	// ID makes the adjustment idempotent within its account: 1 to 120 of
	// A–Z a–z 0–9 _ - . :
	ID     string  `json:"id"`
	Amount Credits `json:"amount"` // not 0
	Reason string  `json:"reason"` // 1 to 512 bytes
}

// Validate says what is wrong with a whatever its account is. Its errors are
// Problems.
func (a *Adjustment) Validate() error {
	switch {
	case !validToken(a.ID, 120, "_-.:"):
		return problem(CodeInvalid, "/id", "found %s; expected 1 to 120 of A–Z a–z 0–9 _ - . :", clip(a.ID))
	case a.Amount == 0:
		return problem(CodeInvalid, "/amount", "found 0; expected credits above 0 to grant, or below 0 to charge")
	case a.Amount < -MaxCredits || a.Amount > MaxCredits:
		return problem(CodeInvalid, "/amount", "found %s; expected at most %s either way", a.Amount, MaxCredits)
	case a.Reason == "" || len(a.Reason) > adjustmentReasonMax || !utf8.ValidString(a.Reason):
		return problem(CodeInvalid, "/reason", "found %d bytes; expected a text of 1 to %d", len(a.Reason), adjustmentReasonMax)
	}
	return nil
}

// Grant returns the id of the grant that an adjustment above 0 issues.
func (a *Adjustment) Grant() string { return fmt.Sprint(AdjustmentGrantPrefix, a.ID) }
