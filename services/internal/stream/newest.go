package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// newestSilence is how long Newest waits for the next message: the last may be
// deleted, run out or be replaced while it reads.
const newestSilence = 5 * time.Second

// ErrVanished reports that what a stream was said to hold does not come: it was
// deleted, ran out or was replaced meanwhile.
var ErrVanished = errors.New("what it was said to hold does not come")

// Newest calls do for the newest message of each subject that l holds, in stream
// order, until it has caught up. What takes the place of another message
// meanwhile may come beside it or in its place; no subject is left out. It ends
// early with the error of do, and with ErrVanished when the newest does not
// come. After any error nothing is certain: begin again.
func Newest(ctx context.Context, l Log, do func(Message) error) error {
	state, err := l.State(ctx)
	if err != nil || state.Messages == 0 {
		return err
	}
	reader, err := l.Read(ctx, From{LastPerSubject: true})
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		m, ok, err := reader.within(ctx, newestSilence)
		switch {
		case err != nil:
			return fmt.Errorf("read what stream %s holds: %w", l.Name(), err)
		case !ok:
			return fmt.Errorf("read what stream %s holds: %w", l.Name(), ErrVanished)
		}
		if err := do(m); err != nil || m.Pending == 0 {
			return err
		}
	}
}
