package oracle

import (
	"math/big"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// priceOf is what an event costs in micro-credits, as the cards of a run that
// began at start say. They are written out here once more, on purpose.
func priceOf(e *journal.Event, start time.Time) *big.Int {
	// The second card is in force from an hour before the start, to the second.
	second := e.Micros >= start.Add(-time.Hour).Truncate(time.Second).UnixMicro()
	if e.Status >= 500 {
		return big.NewInt(0)
	}
	switch e.Operation {
	case "POST /v1/chat":
		flat, out := "10000", "600" // 0.01 a call, 0.60 per 1000
		if second {
			flat, out = "12000", "550"
		}
		return atLeast(round(plus(rat(flat), times(rat("150"), e.A), times(rat(out), e.B))), 20_000)
	case "GET /files/report.pdf":
		started := new(big.Int).Div(big.NewInt(e.A+1<<20-1), big.NewInt(1<<20))
		return started.Mul(started, big.NewInt(1_000_000))
	case "GET /search":
		if second {
			return big.NewInt(40_000)
		}
		return big.NewInt(50_000)
	case "POST /v1/odd":
		return round(times(rat("7/30"), e.A)) // 0.7 micro-credits for 3
	}
	return nil
}

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("oracle: no number: " + text)
	}
	return r
}

func times(price *big.Rat, n int64) *big.Rat { return price.Mul(price, new(big.Rat).SetInt64(n)) }

func plus(terms ...*big.Rat) *big.Rat {
	sum := new(big.Rat)
	for _, term := range terms {
		sum.Add(sum, term)
	}
	return sum
}

// round rounds a half up.
func round(r *big.Rat) *big.Int {
	r.Add(r, big.NewRat(1, 2))
	return new(big.Int).Div(r.Num(), r.Denom())
}

func atLeast(n *big.Int, least int64) *big.Int {
	if l := big.NewInt(least); n.Cmp(l) < 0 {
		return l
	}
	return n
}
