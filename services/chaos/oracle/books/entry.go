package books

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Chunk is a LEDGER message.
type Chunk struct {
	Span    *Span   `json:"span"`
	Entries []Entry `json:"entries"`
}

// Span says which usage events a chunk settles.
type Span struct {
	Through    Position `json:"through"`
	Events     int      `json:"events"`
	Duplicates int      `json:"duplicates"`
	Rejected   int      `json:"rejected"`
}

// Position is an event in USAGE.
type Position struct {
	Sequence uint64 `json:"sequence"`
	Index    int    `json:"index"`
}

// Entry is a ledger entry, as far as the books go.
type Entry struct {
	Kind    string `json:"kind"`
	Account string `json:"account"`

	Debit    *Debit    `json:"debit"`
	Grant    *Issue    `json:"grant"`
	Void     *Void     `json:"void"`
	Hold     *Reserve  `json:"hold"`
	Capture  *Capture  `json:"capture"`
	Release  *Release  `json:"release"`
	Adjust   *Adjust   `json:"adjust"`
	Decline  *Decline  `json:"decline"`
	Settings *Settings `json:"settings"`

	Correction *Correction `json:"correction"`
	Plan       *Plan       `json:"plan"`
}

// Debit is what a usage event is charged.
type Debit struct {
	Source   string    `json:"source"`
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Data     Work      `json:"data"`
	Amount   Credits   `json:"amount"`
	Rule     string    `json:"rule"`
	Position Position  `json:"position"`
	Tiers    []Tier    `json:"tiers"`
}

// Tier is what a debit counted.
type Tier struct {
	Part     string    `json:"part"`
	Quantity string    `json:"quantity"`
	Period   time.Time `json:"period"`
	Before   string    `json:"before"`
	Amount   string    `json:"amount"`
}

// Work is what was done, or is to be done: what budgets look at, and what usage is
// summed up by.
type Work struct {
	Operation  string            `json:"operation"` // of usage
	Project    string            `json:"project"`
	Key        string            `json:"key"`
	Attributes map[string]string `json:"attributes"`
}

// Issue is a command to issue a grant.
type Issue struct {
	ID          string    `json:"id"`
	Amount      Credits   `json:"amount"`
	Priority    *int      `json:"priority"`
	EffectiveAt time.Time `json:"effective_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	Recurrence  string    `json:"recurrence"`
	Rollover    *Rollover `json:"rollover"`
	TopUp       string    `json:"top_up"`
	Source      string    `json:"source"`
	Note        string    `json:"note"`
}

// Void is a command to void a grant.
type Void struct {
	Grant string `json:"grant"`
}

// Reserve is a command to place a hold.
type Reserve struct {
	ID        string  `json:"id"`
	Amount    Credits `json:"amount"`
	ExpiresIn string  `json:"expires_in"`
	Work
}

// Capture is a command to capture a hold.
type Capture struct {
	Hold   string  `json:"hold"`
	Amount Credits `json:"amount"`
}

// Release is a command to release a hold.
type Release struct {
	Hold string `json:"hold"`
}

// Adjust is a correction by hand.
type Adjust struct {
	ID     string  `json:"id"`
	Amount Credits `json:"amount"`
	Reason string  `json:"reason"`
}

// Decline is a command to end a request for a top-up.
type Decline struct {
	TopUp string `json:"top_up"`
}

// Correction puts another charge, or none, in the place of what a usage event is
// charged, or of none.
type Correction struct {
	Source   string `json:"source"`
	ID       string `json:"id"`
	First    Place  `json:"first"`
	Corrects Place  `json:"corrects"`
	Was      *Debit `json:"was"`
	Now      *Debit `json:"now"`
}

// Settings are what is set of an account.
type Settings struct {
	ID        string    `json:"id"`
	Plan      string    `json:"plan"`
	StartedAt time.Time `json:"started_at"`
	Change    string    `json:"change"`
	Terms
}

// Plan is a plan.
type Plan struct {
	Plan string `json:"plan"`
	Terms
}

// Terms are a plan's, or an account's own.
type Terms struct {
	Period          string     `json:"period"`
	Grant           *PlanGrant `json:"grant"`
	Overage         string     `json:"overage"`
	OverageLimit    *Credits   `json:"overage_limit"`
	PreserveOverage *bool      `json:"preserve_overage"`
	Thresholds      []string   `json:"thresholds"`
	HardStopAt      *Credits   `json:"hard_stop_at"`
	Budgets         []Budget   `json:"budgets"`
	CaptureMore     *bool      `json:"capture_more"`
	TopUp           *TopUp     `json:"top_up"`
}

// TopUp is a rule by which top-ups are requested.
type TopUp struct {
	Below           Credits `json:"below"`
	Amount          Credits `json:"amount"`
	AtMostPerPeriod int     `json:"at_most_per_period"`
	Cooldown        string  `json:"cooldown"`
	Timeout         string  `json:"timeout"`
}

// PlanGrant is the grant of each period.
type PlanGrant struct {
	Amount   Credits   `json:"amount"`
	Priority *int      `json:"priority"`
	Rollover *Rollover `json:"rollover"`
}

// Rollover is what is kept over a boundary.
type Rollover struct {
	Min Credits `json:"min"`
	Max Credits `json:"max"`
}

// kept is how much of what is left is kept; nothing without a rollover.
func (r *Rollover) kept(left int64) int64 {
	if r == nil {
		return 0
	}
	return min(int64(r.Max), max(int64(r.Min), left))
}

// Budget is a limit of what a scope may cost.
type Budget struct {
	Scope string  `json:"scope"`
	Limit Credits `json:"limit"`
	Per   string  `json:"per"`
}

// Credits are micro-credits, which JSON writes as a text of credits.
type Credits int64

// UnmarshalText reads credits with at most 6 decimals.
func (c *Credits) UnmarshalText(text []byte) error {
	number, negative := strings.CutPrefix(string(text), "-")
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil || len(fraction) > 6 {
		return fmt.Errorf("found %q; expected credits", text)
	}
	if *c = Credits(n); negative {
		*c = -*c
	}
	return nil
}

// MarshalText writes credits without needless zeros.
func (c Credits) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String writes credits without needless zeros.
func (c Credits) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	text := fmt.Sprintf("%s%d.%06d", sign, c/1_000_000, c%1_000_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
