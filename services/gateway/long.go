package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/past"
)

const (
	// longTime bounds a question that may read much of the ledger, longMax how
	// many of them are answered at a time: each takes most of a core.
	longTime = 10 * time.Minute
	longMax  = 2
	// longWait is how long one waits for its turn.
	longWait = 10 * time.Second

	defaultProgressEvery = 250 * time.Millisecond
	// HeaderProgress asks for progress, and tells of it in interim answers (102):
	// "done/total".
	HeaderProgress = "Drawdown-Progress"
)

// longRoutes may take long.
var longRoutes = map[string]bool{
	"GET " + routeExplain: true, "GET " + routeBalance: true, "POST " + routeSimulate: true,
	"PUT " + routeCard: true, "POST " + routeVoid: true, "POST " + routeAmend: true,
}

type answerKey struct{}

// withAnswer lets the handler of a long route take its time, and tell how far it
// is.
func withAnswer(w http.ResponseWriter, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), answerKey{}, answer{w, r.Header.Get(HeaderProgress) != ""}))
}

// answer is the answer of a request on its way.
type answer struct {
	http.ResponseWriter
	tells bool // of progress
}

// ledger is what is folded and looked through for ctx's request.
func (g *Gateway) ledger() past.Ledger {
	return past.Ledger{Broker: g.broker, Partitions: g.Streams.Partitions, Restore: g.Restore, Turn: g.turn}
}

// turn waits for the turn of a request that reads much of the ledger.
func (g *Gateway) turn(ctx context.Context) (end func(), err error) {
	waited := time.NewTimer(longWait)
	defer waited.Stop()
	select {
	case g.answering <- struct{}{}:
	case <-waited.C:
		return nil, unavailable("%d questions that read much of the ledger are being answered already", longMax)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	extend(ctx, longTime)
	return func() { <-g.answering }, nil
}

// extend lets the answer of ctx's request take so long.
func extend(ctx context.Context, d time.Duration) {
	if a, ok := ctx.Value(answerKey{}).(answer); ok {
		// A writer without deadlines is a test's.
		_ = http.NewResponseController(a).SetWriteDeadline(time.Now().Add(d + writeTimeout))
	}
}

// progress tells the asker now and then how far the answer is, if it asked for
// that.
func (g *Gateway) progress(ctx context.Context) past.Progress {
	a, _ := ctx.Value(answerKey{}).(answer)
	if !a.tells {
		return nil
	}
	told := time.Now()
	return func(done, total uint64) {
		if now := time.Now(); now.Sub(told) >= g.ProgressEvery {
			told = now
			a.Header().Set(HeaderProgress, fmt.Sprintf("%d/%d", done, total))
			a.WriteHeader(http.StatusProcessing)
			a.Header().Del(HeaderProgress)
		}
	}
}

// Unwrap lets http.ResponseController reach deadlines.
func (a answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
