package lease

import (
	"context"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// keep calls work until ctx ends.
func keep(ctx context.Context, work Work, held *Held) {
	for ctx.Err() == nil {
		work(ctx, held)
		if pause.For(ctx, again) != nil {
			return
		}
	}
}
