package streamsuite

import (
	"context"
	"errors"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func usageSubject(t *testing.T, rig Rig) {
	l := rig.Broker.Log(events.StreamUsage)
	for _, account := range []string{"acme", "batch", "3", "A-b_9"} {
		m := getMessage(t, l, must(t, l, stream.Append{Subject: events.UsageSubject(account)}))
		if want := events.StoredUsageSubject(events.Partition(account, Partitions), account); m.Subject != want {
			t.Errorf("usage of %s is stored under %s; want %s", account, m.Subject, want)
		}
	}
	m := getMessage(t, l, must(t, l, stream.Append{Subject: events.BatchSubject(Partitions - 1)}))
	if m.Subject != events.BatchSubject(Partitions-1) {
		t.Errorf("a batch is stored under %s", m.Subject)
	}
	if _, err := l.Append(t.Context(), stream.Append{Subject: events.BatchSubject(Partitions)}); err == nil {
		t.Error("a batch for a partition that does not exist is taken")
	}
}

func reply(t *testing.T, rig Rig) {
	if err := rig.Broker.Reply("nobody.waits", []byte("x")); err != nil {
		t.Errorf("reply to nobody: %v", err)
	}
	answers := rig.Subscribe(t, "who.waits")
	if err := rig.Broker.Reply("who.waits", []byte("answer")); err != nil {
		t.Errorf("reply: %v", err)
	}
	select {
	case answer := <-answers:
		if string(answer) != "answer" {
			t.Errorf("answer %q", answer)
		}
	case <-t.Context().Done():
	}
}

func contextEnds(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	r := open(t, l, stream.From{})
	why := errors.New("why")
	ended, end := context.WithCancelCause(t.Context())
	end(why)
	if _, err := r.Next(ended); !errors.Is(err, why) {
		t.Errorf("next: %v; want the context's cause", err)
	}
	if _, err := r.Batch(ended, 5); !errors.Is(err, why) {
		t.Errorf("batch: %v; want the context's cause", err)
	}
	if _, err := l.State(ended); err == nil {
		t.Error("state: no error")
	}
	if _, err := l.Read(ended, stream.From{}); err == nil {
		t.Error("read: no error")
	}
	if _, _, err := l.Get(ended, 1); err == nil {
		t.Error("get: no error")
	}
	if _, _, err := l.Last(ended, subject("low", "a")); err == nil {
		t.Error("last: no error")
	}
	if _, err := l.Append(ended, stream.Append{Subject: subject("low", "a")}); err == nil || errors.Is(err, stream.ErrFenced) {
		t.Errorf("append: %v; want another error", err)
	}
	if r := l.AppendAll(ended, []stream.Append{{Subject: subject("low", "a")}}); len(r) != 1 || r[0].Err == nil || errors.Is(r[0].Err, stream.ErrFenced) {
		t.Errorf("append: %+v; want another error", r)
	}
}
