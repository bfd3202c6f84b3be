package events

import (
	"strings"
	"time"
)

// Budget limits what usage of one scope may cost in a length of time. It never
// refuses usage, which has happened; it refuses holds, and says when it is
// exceeded.
type Budget struct {
	// Scope is what is counted: "project:web", "key:k1" or an attribute's
	// "team:red". In place of the value, * counts each value by itself.
	Scope string  `json:"scope"`
	Limit Credits `json:"limit"`
	// Per is day, week, month, year or an ISO 8601 duration, anchored at the
	// account's start in UTC, or "period" for the account's own.
	Per string `json:"per"`
}

// ValidBudgetScope reports whether scope may be a Budget's.
func ValidBudgetScope(scope string) bool {
	name, value, ok := strings.Cut(scope, ":")
	return ok && validName(name) && value != "" && plainText(value, MaxStringBytes)
}

// Bounds of how many budgets a Balance lists.
const (
	BalanceExceededMax = 200
	BalanceBudgetsMax  = 100
)

// BudgetBalance is where one value of a budget's scope stands in the running
// window [Start, End); a border that is absent does not exist.
type BudgetBalance struct {
	Scope  string  `json:"scope"`  // "project:web"
	Budget string  `json:"budget"` // the scope as the terms write it: "project:*"
	Per    string  `json:"per"`
	Limit  Credits `json:"limit"`
	Spent  Credits `json:"spent"`
	Held   Credits `json:"held"` // by open holds, which go on in the next window
	// Exceeded says that Spent has reached Limit.
	Exceeded bool `json:"exceeded"`
	// Since is the entry that last changed Exceeded; nil when none did lately.
	Since *Cause    `json:"since,omitzero"`
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

// Name tells the budgets of an account apart for people and in signals:
// "project:web per day".
func (b BudgetBalance) Name() string { return b.Scope + namePer + b.Per }

const namePer = " per "

// SplitBudgetName returns the scope and the length of time that a
// BudgetBalance.Name is made of.
func SplitBudgetName(name string) (scope, per string) {
	if i := strings.LastIndex(name, namePer); i >= 0 {
		return name[:i], name[i+len(namePer):]
	}
	return name, ""
}
