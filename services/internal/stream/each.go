package stream

import (
	"context"
	"time"
)

// eachWait is how long Each waits for a message before it looks whether the end
// is still there.
const eachWait = time.Second

// Each calls do for every message on subjects, all when none is named, from a
// place up to the end that they have when it begins. It ends early with the
// error of do.
func Each(ctx context.Context, l Log, from From, do func(Message) error, subjects ...string) error {
	last, err := end(ctx, l, subjects)
	if err != nil || last.Sequence == 0 {
		return err
	}
	if from.Sequence > last.Sequence || from.Since.After(last.StoredAt) {
		return nil
	}
	reader, err := l.Read(ctx, from, subjects...)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		m, ok, err := reader.within(ctx, eachWait)
		switch {
		case err != nil:
			return err
		case !ok:
			if there, err := last.isStored(ctx, l); err != nil || !there {
				return err
			}
		case m.Sequence > last.Sequence: // the end was replaced
			return nil
		default:
			if err := do(m); err != nil || m.Sequence == last.Sequence {
				return err
			}
		}
	}
}

// isStored reports whether the message that m names has not been removed.
func (m Mark) isStored(ctx context.Context, l Log) (bool, error) {
	if err := m.Verify(ctx, l); err != nil {
		return false, err
	}
	_, ok, err := l.Get(ctx, m.Sequence)
	return ok, err
}

// end is the last message on subjects, the zero mark when there is none.
func end(ctx context.Context, l Log, subjects []string) (Mark, error) {
	if len(subjects) == 0 {
		state, err := l.State(ctx)
		if err != nil || state.Messages == 0 {
			return Mark{}, err
		}
		return Mark{Sequence: state.Last, StoredAt: state.LastAt}, nil
	}
	var last Mark
	for _, subject := range subjects {
		m, _, err := l.Last(ctx, subject)
		if err != nil {
			return Mark{}, err
		}
		if m.Sequence > last.Sequence {
			last = MarkOf(m)
		}
	}
	return last, nil
}
