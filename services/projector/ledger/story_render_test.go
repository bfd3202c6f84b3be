package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

func renderCorrected(c *events.Corrected) string {
	var text strings.Builder
	for _, part := range []struct {
		name   string
		shares []events.GrantShare
	}{{"refilled", c.Refilled}, {"lost", c.Lost}, {"drawn", c.Drawn}} {
		for _, s := range part.shares {
			fmt.Fprintf(&text, "; %s %s of %s, which has %s", part.name, s.Amount, s.Grant, s.Left)
		}
	}
	for _, part := range []struct {
		name   string
		amount events.Credits
	}{{"lost to expiry", c.Expired}, {"lost to voids", c.Voided}, {"owed no more", c.Owed}, {"forgiven before", c.Forgiven}} {
		if part.amount != 0 {
			fmt.Fprintf(&text, "; %s %s", part.amount, part.name)
		}
	}
	return text.String()
}

func short(t time.Time) string {
	if t.IsZero() {
		return "always"
	}
	return strings.TrimSuffix(strings.TrimSuffix(t.Format("2006-01-02T15:04:05.999999"), ":00"), "T00:00")
}

func renderPosting(p ledger.Posting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", short(p.At), strings.TrimSpace(p.Account+" "+string(p.Kind)))
	if p.Grant != "" {
		fmt.Fprintf(&b, " %s", p.Grant)
	}
	if p.Hold != "" {
		fmt.Fprintf(&b, " %s", p.Hold)
	}
	if p.Refused != "" {
		fmt.Fprintf(&b, " REFUSED")
	}
	for _, delta := range []struct {
		name   string
		amount events.Credits
	}{
		{"granted", p.Granted},
		{"charged", p.Charged},
		{"drawn", p.Drawn},
		{"expired", p.Expired},
		{"voided", p.Voided},
		{"forgiven", p.Forgiven},
	} {
		if delta.amount != 0 {
			fmt.Fprintf(&b, " %s=%s", delta.name, delta.amount)
		}
	}
	for _, d := range p.Draws {
		fmt.Fprintf(&b, " (%s from %s leaves %s)", d.Amount, d.Grant, d.Left)
	}
	if p.Account != "" {
		fmt.Fprintf(&b, " -> available=%s remaining=%s overage=%s", p.Available, p.Remaining, p.Overage)
		if p.Held != 0 {
			fmt.Fprintf(&b, " held=%s", p.Held)
		}
	}
	return b.String() + "\n"
}

func renderHold(h events.HoldBalance) string {
	text := fmt.Sprintf("hold %s of %s until %s is %s", h.ID, h.Amount, short(h.ExpiresAt), h.State)
	if h.Captured != 0 {
		text += fmt.Sprintf(" with %s", h.Captured)
	}
	for _, scope := range []struct{ name, value string }{{"project", h.Project}, {"key", h.Key}} {
		if scope.value != "" {
			text += fmt.Sprintf(" %s:%s", scope.name, scope.value)
		}
	}
	return text
}

func renderTopUp(u events.TopUpBalance) string {
	text := "top-up " + string(u.State)
	if r := u.Request; r != nil {
		text += fmt.Sprintf(": %s of %s below %s from %s to %s since %d", r.ID, r.Amount, r.Below, short(r.RequestedAt), short(r.ExpiresAt), u.Since.Sequence)
	}
	if !u.NextAt.IsZero() {
		text += ", next " + short(u.NextAt)
	}
	return text + "\n"
}

func renderBalance(b events.Balance) string {
	var out strings.Builder
	fmt.Fprintf(&out, "available=%s overage=%s sequence=%d\n", b.Available, b.Overage, b.Sequence)
	fmt.Fprintf(&out, "granted=%s remaining=%s drawn=%s expired=%s voided=%s\n", b.Granted, b.Remaining, b.Drawn, b.Expired, b.Voided)
	fmt.Fprintf(&out, "charged=%s forgiven=%s\n", b.Charged, b.Forgiven)
	if p := b.Period; p != nil {
		fmt.Fprintf(&out, "period %s to %s granted=%s\n", short(p.Start), short(p.End), p.Granted)
	}
	if n := b.Next; n != nil {
		fmt.Fprintf(&out, "from %s plan %s\n", short(n.At), n.Plan)
	}
	for _, g := range b.Grants {
		fmt.Fprintf(&out, "grant %s %s of %s priority=%d source=%s from %s", g.ID, g.Remaining, g.Amount, g.Priority, g.Source, short(g.EffectiveAt))
		if !g.ExpiresAt.IsZero() {
			fmt.Fprintf(&out, " to %s", short(g.ExpiresAt))
		}
		if !g.RecursAt.IsZero() {
			fmt.Fprintf(&out, " again %s", short(g.RecursAt))
		}
		out.WriteString("\n")
	}
	if b.Held != 0 {
		fmt.Fprintf(&out, "held=%s\n", b.Held)
	}
	for _, h := range b.Holds {
		fmt.Fprintf(&out, "%s\n", renderHold(h))
	}
	for _, u := range b.Budgets {
		fmt.Fprintf(&out, "budget %s of %s per %s: spent %s held %s of %s", u.Scope, u.Budget, u.Per, u.Spent, u.Held, u.Limit)
		if !u.End.IsZero() {
			fmt.Fprintf(&out, " until %s", short(u.End))
		}
		if u.Exceeded {
			out.WriteString(" EXCEEDED")
		}
		if u.Since != nil {
			fmt.Fprintf(&out, " since %d", u.Since.Sequence)
		}
		out.WriteString("\n")
	}
	if b.TopUp != nil {
		out.WriteString(renderTopUp(*b.TopUp))
	}
	for _, l := range b.Levels {
		fmt.Fprintf(&out, "level %s %s at %s", l.Kind, l.Threshold, l.At)
		if l.Reached {
			out.WriteString(" REACHED")
		}
		if c := l.Since; c != nil {
			fmt.Fprintf(&out, " since %d (%s)", c.Sequence, strings.Join(slices.DeleteFunc([]string{string(c.Kind), c.Source, c.ID}, func(s string) bool { return s == "" }), " "))
		}
		out.WriteString("\n")
	}
	return out.String()
}
