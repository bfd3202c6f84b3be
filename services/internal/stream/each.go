package stream

import "context"

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
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		if m.Sequence > last.Sequence {
			return nil
		}
		if err := do(m); err != nil {
			return err
		}
		if m.Sequence == last.Sequence || m.Pending == 0 {
			return nil
		}
	}
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
