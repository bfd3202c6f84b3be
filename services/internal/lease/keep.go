package lease

import (
	"context"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// again is the pause before work that returned is called again.
const again = time.Second

// keep calls work until ctx ends.
func keep(ctx context.Context, work Work, held *Held) {
	for ctx.Err() == nil {
		work(ctx, held)
		if pause.For(ctx, again) != nil {
			return
		}
	}
}
