package stream

import "context"

// Each calls do for every message on subjects, all when none is named, from a
// place up to the end that they have when it begins. It ends early with the
// error of do.
func Each(ctx context.Context, l Log, from From, do func(Message) error, subjects ...string) error {
	end, err := end(ctx, l, subjects)
	if err != nil || end == 0 {
		return err
	}
	if from.Sequence > end {
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
		if m.Sequence > end {
			return nil
		}
		if err := do(m); err != nil {
			return err
		}
		if m.Sequence == end || m.Pending == 0 {
			return nil
		}
	}
}

// end is the sequence of the last message on subjects, 0 when there is none.
func end(ctx context.Context, l Log, subjects []string) (uint64, error) {
	if len(subjects) == 0 {
		state, err := l.State(ctx)
		if err != nil || state.Messages == 0 {
			return 0, err
		}
		return state.Last, nil
	}
	var last uint64
	for _, subject := range subjects {
		m, _, err := l.Last(ctx, subject)
		if err != nil {
			return 0, err
		}
		last = max(last, m.Sequence)
	}
	return last, nil
}
