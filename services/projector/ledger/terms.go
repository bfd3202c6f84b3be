package ledger

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
)

// terms are events.Terms made ready to be applied.
type terms struct {
	period      period
	grant       events.Credits // 0 for none
	priority    uint8          // of the grant
	rollover    rollover       // of the grant
	overage     overage
	limits      []limit // of budgets
	captureMore bool    // than a hold
	topUp       topUpRule
	levels      []threshold // as written, then those of overage
}

// threshold is a level of available credits, absolute or in percent.
type threshold struct {
	kind    events.SignalKind
	text    string
	percent bool
	amount  events.Credits // or percent, in millionths
}

const (
	thresholdsMax = 16
	hundred       = 100 * events.Credit
)

// defaultTerms are those of an account that was never set.
var defaultTerms = compile(events.Terms{})

// checkTerms returns what is wrong with t, or "". What passes compiles.
func checkTerms(t events.Terms) string {
	if _, ok := parsePeriod(t.Period); !ok {
		return "period: expected " + events.PeriodForm
	}
	if fault := checkOverage(t); fault != "" {
		return fault
	}
	if fault := checkPlanGrant(t.Grant); fault != "" {
		return fault
	}
	if fault := checkBudgets(t.Budgets); fault != "" {
		return fault
	}
	if fault := checkTopUp(t.TopUp); fault != "" {
		return fault
	}
	if h := t.HardStopAt; h != nil && (*h < 0 || *h > events.MaxCredits) {
		return "hard_stop_at: expected 0 to " + events.MaxCredits.String()
	}
	if len(t.Thresholds) > thresholdsMax {
		return "thresholds: expected at most 16"
	}
	for i, text := range t.Thresholds {
		if _, ok := parseThreshold(text); !ok {
			return "thresholds: expected credits of 0 or more (\"100\"), or 0% to 100% (\"20%\")"
		}
		if slices.Contains(t.Thresholds[:i], text) {
			return "thresholds: expected each once"
		}
	}
	return ""
}

func checkPlanGrant(g *events.PlanGrant) string {
	switch {
	case g == nil:
		return ""
	case g.Amount <= 0 || g.Amount > events.MaxCredits:
		return "grant: expected an amount of more than 0 and at most " + events.MaxCredits.String()
	}
	if fault := checkRollover(g.Rollover, g.Amount); fault != "" {
		return "grant." + fault
	}
	return ""
}

// checkMerged returns what is wrong with checked terms as a whole, or "".
func checkMerged(t events.Terms) string {
	switch {
	case t.Grant != nil && t.Period == "":
		return "grant: expected a period, at whose start it is issued"
	case t.Overage == events.OverageSoft && t.OverageLimit == nil:
		return "overage_limit: expected one, as overage is soft"
	case t.Period == "" && slices.ContainsFunc(t.Budgets, func(b events.Budget) bool { return b.Per == perPeriod }):
		return "budgets: expected a period, which one of them is per"
	}
	return ""
}

// merge returns the plan's terms with an account's own in place of them, field
// by field.
func merge(own, plan events.Terms) events.Terms {
	merged := events.Terms{
		Period:     cmp.Or(own.Period, plan.Period),
		Grant:      cmp.Or(own.Grant, plan.Grant),
		Thresholds: own.Thresholds,
		HardStopAt: cmp.Or(own.HardStopAt, plan.HardStopAt),

		Overage:         cmp.Or(own.Overage, plan.Overage),
		OverageLimit:    cmp.Or(own.OverageLimit, plan.OverageLimit),
		CaptureMore:     cmp.Or(own.CaptureMore, plan.CaptureMore),
		PreserveOverage: cmp.Or(own.PreserveOverage, plan.PreserveOverage),
		TopUp:           cmp.Or(own.TopUp, plan.TopUp),
	}
	if merged.Budgets = own.Budgets; len(merged.Budgets) == 0 {
		merged.Budgets = plan.Budgets
	}
	if len(merged.Thresholds) == 0 {
		merged.Thresholds = plan.Thresholds
	}
	return merged
}

// none reports whether t says nothing.
func none(t *events.Terms) bool {
	return t.Period == "" && t.Grant == nil && len(t.Thresholds) == 0 && t.HardStopAt == nil &&
		t.Overage == "" && t.OverageLimit == nil && t.PreserveOverage == nil && t.CaptureMore == nil && t.TopUp == nil && len(t.Budgets) == 0
}

// compile returns checked terms ready to be applied.
func compile(t events.Terms) *terms {
	compiled := &terms{priority: events.DefaultPriority}
	compiled.period, _ = parsePeriod(t.Period)
	if t.Grant != nil && compiled.period.some() {
		compiled.grant = t.Grant.Amount
		compiled.priority = priorityOf(t.Grant.Priority)
		compiled.rollover = rolloverOf(t.Grant.Rollover)
	}
	texts := t.Thresholds
	if len(texts) == 0 {
		texts = []string{"20%"}
	}
	for _, text := range texts {
		l, _ := parseThreshold(text)
		compiled.levels = append(compiled.levels, l)
	}
	compiled.overage = overageOf(t)
	compiled.limits = limitsOf(t.Budgets)
	compiled.topUp = topUpRuleOf(t.TopUp)
	compiled.captureMore = t.CaptureMore != nil && *t.CaptureMore
	compiled.levels = append(compiled.levels, compiled.overage.levels()...)
	return compiled
}

// samePeriods reports whether t and u have the same periods with the same
// grants.
func (t *terms) samePeriods(u *terms) bool {
	return t.period == u.period && t.grant == u.grant && t.priority == u.priority && t.rollover == u.rollover
}

// parseThreshold reads "20%", at most 100, or an amount of credits.
func parseThreshold(text string) (threshold, bool) {
	number, percent := strings.CutSuffix(text, "%")
	amount, err := events.ParseCredits(number)
	limit := events.MaxCredits
	if percent {
		limit = hundred
	}
	if err != nil || amount < 0 || amount > limit {
		return threshold{}, false
	}
	return threshold{kind: events.SignalLow, text: text, percent: percent, amount: amount}, true
}

// at returns the threshold in credits, rounded down; percent is of base, which
// is not negative.
func (t threshold) at(base events.Credits) events.Credits {
	if !t.percent {
		return t.amount
	}
	high, low := bits.Mul64(uint64(base), uint64(t.amount))
	quotient, _ := bits.Div64(high, low, uint64(hundred)) // ≤ base
	return events.Credits(quotient)
}

// appendTerms appends what t says: two terms append the same if they are the
// same.
func appendTerms(b []byte, t *terms) []byte {
	b = binary.AppendUvarint(b, uint64(t.period.months))
	b = binary.AppendUvarint(b, uint64(t.period.length))
	b = binary.AppendUvarint(b, uint64(t.grant))
	b = append(b, t.priority)
	b = binary.AppendUvarint(b, uint64(t.rollover.min))
	b = binary.AppendUvarint(b, uint64(t.rollover.max))
	b = append(b, t.overage.flags(), t.bits())
	b = binary.AppendUvarint(b, uint64(t.overage.stop))
	b = appendLimits(b, t.limits)
	if t.topUp.some() {
		b = appendTopUp(b, t.topUp)
	}
	for _, l := range t.lows() {
		b = append(binary.AppendUvarint(b, uint64(len(l.text))), l.text...)
	}
	return b
}

// Bits of the byte behind those of overage.
const (
	termsCaptureMore = 1 << iota
	termsTopUp
)

func (t *terms) bits() (bits byte) {
	if t.captureMore {
		bits |= termsCaptureMore
	}
	if t.topUp.some() {
		bits |= termsTopUp
	}
	return bits
}

// parseTerms reads what appendTerms appends, and returns false for anything
// else.
func parseTerms(said string) (*terms, bool) {
	rest := []byte(said)
	number := func() uint64 {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			rest = nil
			return math.MaxUint64 // of none that is read here
		}
		rest = rest[size:]
		return n
	}
	octet := func() byte {
		if len(rest) == 0 {
			return math.MaxUint8
		}
		b := rest[0]
		rest = rest[1:]
		return b
	}
	t := &terms{period: period{months: int(number()), length: micros(number())}, grant: events.Credits(number()), priority: octet()}
	t.rollover = rollover{min: events.Credits(number()), max: events.Credits(number())}
	overage := octet()
	bits := octet()
	t.captureMore = bits&termsCaptureMore != 0
	t.overage = overageOfFlags(overage, events.Credits(number()))
	text := func() string {
		size := min(number(), uint64(len(rest)))
		s := string(rest[:size])
		rest = rest[size:]
		return s
	}
	var ok bool
	if t.limits, ok = parseLimits(number, text); !ok {
		return nil, false
	}
	if bits&termsTopUp != 0 {
		t.topUp = parseTopUp(number)
	}
	for len(rest) > 0 && len(t.levels) <= thresholdsMax {
		l, ok := parseThreshold(text())
		if !ok {
			return nil, false
		}
		t.levels = append(t.levels, l)
	}
	lows := len(t.levels)
	t.levels = append(t.levels, t.overage.levels()...)
	sound := t.period.sound() && between(t.grant) && t.rollover.sound(t.grant) && t.overage.sound() && t.topUp.sound() &&
		lows > 0 && lows <= thresholdsMax && (t.grant == 0 || t.period.some())
	return t, sound && string(appendTerms(nil, t)) == said
}

// between reports whether c is an amount that terms may name.
func between(c events.Credits) bool { return c >= 0 && c <= events.MaxCredits }
