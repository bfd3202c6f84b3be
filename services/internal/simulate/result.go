package simulate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// Bounds of a Result: of its rows, of its losers and of its gainers, and of the
// examples of refused events.
const (
	RowsMax     = 1000
	TopMax      = 10
	ExamplesMax = 10
)

// Result is what past usage cost and would have cost.
type Result struct {
	Card  string    `json:"card"`
	Since time.Time `json:"since" doc:"By the events' own time; included."`
	// Source is where past usage was read, Sequence the last ledger message of
	// which it was.
	Source   string `json:"source" doc:"clickhouse or ledger."`
	Sequence uint64 `json:"sequence"`
	Events   uint64 `json:"events"`

	// Total sums all events but those refused.
	Total   Sums    `json:"total"`
	Refused Refused `json:"refused" doc:"Events that the candidate would refuse."`

	// Rows are by account and operation, the greatest difference first; MoreRows
	// counts the rest. Losers would pay more and Gainers less, most first.
	Rows     []Row        `json:"rows" nullable:"false"`
	MoreRows int          `json:"more_rows,omitzero"`
	Losers   []AccountSum `json:"losers" nullable:"false"`
	Gainers  []AccountSum `json:"gainers" nullable:"false"`
}

// Sums are what calls cost now, and would cost then.
type Sums struct {
	Calls      uint64         `json:"calls"`
	Now        events.Credits `json:"now"`
	Then       events.Credits `json:"then"`
	Difference events.Credits `json:"difference"` // Then - Now
}

func (s *Sums) add(now, then events.Credits) error {
	return s.merge(Sums{Calls: 1, Now: now, Then: then})
}

func (s *Sums) merge(o Sums) error {
	now, err := s.Now.Add(o.Now)
	if err != nil {
		return err
	}
	then, err := s.Then.Add(o.Then)
	if err != nil {
		return err
	}
	*s = Sums{Calls: s.Calls + o.Calls, Now: now, Then: then, Difference: then - now}
	return nil
}

// Row is one operation of one account.
type Row struct {
	Account   string `json:"account"`
	Operation string `json:"operation"`
	Sums
}

// AccountSum is one account.
type AccountSum struct {
	Account string `json:"account"`
	Sums
}

// Refused counts the events that the candidate would refuse, and what they cost
// now.
type Refused struct {
	Events   uint64         `json:"events"`
	Now      events.Credits `json:"now"`
	Examples []RefusedEvent `json:"examples,omitempty"`
}

// RefusedEvent is one that the candidate would refuse: the first for its reason.
type RefusedEvent struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Operation string    `json:"operation"`
	Time      time.Time `json:"time"`
	Reason    string    `json:"reason"`
}

// refuse counts an event and keeps it as an example, unless there is one of the
// same operation and reason.
func (r *Result) refuse(u events.Usage, charged events.Credits, err error) {
	r.Refused.Events++
	if sum, overflows := r.Refused.Now.Add(charged); overflows == nil {
		r.Refused.Now = sum
	}
	e := RefusedEvent{Source: u.Source, ID: u.ID, Account: u.Account, Operation: u.Data.Operation, Time: u.Time, Reason: err.Error()}
	if len(r.Refused.Examples) < ExamplesMax &&
		!slices.ContainsFunc(r.Refused.Examples, func(o RefusedEvent) bool { return o.Operation == e.Operation && o.Reason == e.Reason }) {
		r.Refused.Examples = append(r.Refused.Examples, e)
	}
}

// Result adds everything up. It answers events.ErrOverflow when a sum is more
// than credits can be.
func (s *Simulation) Result() (Result, error) {
	r := s.result
	r.Rows, r.Losers, r.Gainers = []Row{}, []AccountSum{}, []AccountSum{}
	var accounts []AccountSum
	for _, a := range s.accounts {
		sum := AccountSum{Account: a.id}
		for _, row := range a.operations {
			r.Rows = append(r.Rows, *row)
			if err := sum.merge(row.Sums); err != nil {
				return Result{}, err
			}
		}
		if err := r.Total.merge(sum.Sums); err != nil {
			return Result{}, err
		}
		accounts = append(accounts, sum)
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(abs(b.Difference), abs(a.Difference)), strings.Compare(a.Account, b.Account), strings.Compare(a.Operation, b.Operation))
	})
	r.MoreRows = max(0, len(r.Rows)-RowsMax)
	r.Rows = r.Rows[:len(r.Rows)-r.MoreRows]
	r.Losers, r.Gainers = top(accounts, 1), top(accounts, -1)
	return r, nil
}

// top returns the accounts with the greatest differences of one sign.
func top(accounts []AccountSum, sign events.Credits) []AccountSum {
	found := []AccountSum{}
	for _, a := range accounts {
		if sign*a.Difference > 0 {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b AccountSum) int {
		return cmp.Or(cmp.Compare(sign*b.Difference, sign*a.Difference), strings.Compare(a.Account, b.Account))
	})
	return found[:min(len(found), TopMax)]
}

// abs is the size of a difference of two sums, neither below 0.
func abs(c events.Credits) events.Credits { return max(c, -c) }
