package books

import (
	"cmp"
	"slices"
	"time"
)

// Hold is a reservation, or what became of one.
type Hold struct {
	ID       string
	amount   int64
	expires  int64
	nth      int
	State    string // open, captured, released or expired
	captured int64
	content  Reserve
}

const (
	defaultLife = time.Minute
	hold        = "open"
)

// hold places a hold, if there is room for it.
func (a *Account) hold(c *Reserve) Decision {
	if known := a.remembered(c.ID); known != nil {
		if known.content.Amount == c.Amount && life(&known.content) == life(c) && same(known.content.Work, c.Work) {
			return unchanged
		}
		return refused("conflict")
	}
	amount := int64(c.Amount)
	if amount > a.Available() || !a.haveRoom(c.Work, amount) {
		return refused("insufficient")
	}
	h := &Hold{ID: c.ID, amount: amount, expires: a.now + life(c), nth: len(a.holds), State: hold, content: *c}
	a.holds[c.ID] = h
	a.open = append(a.open, h)
	slices.SortFunc(a.open, func(g, h *Hold) int { return cmp.Or(cmp.Compare(g.expires, h.expires), cmp.Compare(g.nth, h.nth)) })
	return applied
}

// remembered is the hold of that id, unless it expired, or would have, an hour ago.
func (a *Account) remembered(id string) *Hold {
	if h := a.holds[id]; h != nil && (h.State == hold || h.expires+time.Hour.Microseconds() > a.now) {
		return h
	}
	return nil
}

// life is how long a hold reserves, in microseconds.
func life(c *Reserve) int64 {
	d, err := time.ParseDuration(c.ExpiresIn)
	if c.ExpiresIn == "" || err != nil || d == 0 {
		d = defaultLife
	}
	return d.Microseconds()
}

// capture charges for a hold.
func (a *Account) capture(c *Capture) Decision {
	h := a.remembered(c.Hold)
	more := a.terms.CaptureMore != nil && *a.terms.CaptureMore
	switch {
	case h == nil:
		return refused("not_found")
	case h.State == "captured" && h.captured == int64(c.Amount):
		return unchanged
	case h.State != hold:
		return refused(h.State)
	case int64(c.Amount) > h.amount && !more:
		return refused("invalid")
	}
	h.captured = int64(c.Amount)
	a.end(h, "captured")
	a.Charged += h.captured
	a.cover(h.captured)
	a.spend(h.content.Work, h.captured)
	return applied
}

func (a *Account) release(id string) Decision {
	h := a.remembered(id)
	switch {
	case h == nil:
		return refused("not_found")
	case h.State == "released":
		return unchanged
	case h.State != hold:
		return refused(h.State)
	}
	a.end(h, "released")
	return applied
}

func (a *Account) end(h *Hold, state string) {
	h.State = state
	a.open = without(a.open, h)
	a.tidy()
}

func (a *Account) expireHold(int64) {
	a.end(a.open[0], "expired")
	a.evaluate()
}
