package ledger

import (
	"encoding/binary"

	"github.com/drawdown-credits/drawdown/events"
)

// adjust decides a correction by hand: a grant, or a charge that draws grants as
// usage does.
func (x *step) adjust(content *events.Adjustment) events.Decision {
	a := x.account
	if err := content.Validate(); err != nil {
		return refuse(events.RefusedInvalid, err.Error())
	}
	key, sum := grantKey(a.id, content.Grant()), adjustmentDigest(content)
	if f, ok := x.state.known[key]; ok {
		if f.content == sum {
			return unchanged
		}
		return refuse(events.RefusedConflict, "an adjustment with this id was made with other content")
	}
	if content.Amount < 0 {
		return x.charge(key, content, sum)
	}
	if _, err := a.granted.Add(content.Amount); err != nil {
		return refuse(events.RefusedOverflow, "all that was ever granted would overflow")
	}
	p := x.begin(PostingAdjust, x.now)
	x.issue(p, &grant{
		id: content.Grant(), amount: content.Amount, effective: x.now, expires: never,
		source: events.SourceAdjustment, priority: events.DefaultPriority,
	}, fate{content: sum})
	x.end(p)
	return applied
}

// charge makes an adjustment below 0.
func (x *step) charge(key digest, content *events.Adjustment, sum digest) events.Decision {
	a := x.account
	total, err := a.charged.Add(-content.Amount)
	if err != nil {
		return refuse(events.RefusedOverflow, "all that was ever charged would overflow")
	}
	x.state.known[key] = fate{content: sum, how: charged}
	p := x.begin(PostingAdjust, x.now)
	p.Grant, p.Charged = content.Grant(), -content.Amount
	a.charged = total
	x.cover(p, -content.Amount)
	x.end(p)
	return applied
}

// adjustmentDigest is the same for two commands that ask for the same
// adjustment, and for no grant. It is part of an encoded state: a change of it
// changes encodingVersion.
func adjustmentDigest(content *events.Adjustment) digest {
	b := binary.AppendVarint([]byte(events.AdjustmentGrantPrefix), int64(content.Amount))
	return digestOf(append(b, content.Reason...))
}
