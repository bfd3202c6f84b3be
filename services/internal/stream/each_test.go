package stream_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestEachGivesWhatIsThereWhenItBegins(t *testing.T) {
	server := natstest.Run(t)
	if _, err := stream.Ensure(t.Context(), server.JetStream(), stream.Config{}); err != nil {
		t.Fatal(err)
	}
	broker, err := stream.NewBroker(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	log := broker.Log(events.StreamSignals)
	for _, subject := range []string{"credits.low.a", "credits.low.b", "credits.exhausted.a", "credits.restored.a", "credits.low.b"} {
		if _, err := log.Append(t.Context(), stream.Append{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		from     stream.From
		subjects []string
		want     []uint64
	}{
		"all of the stream":                  {want: []uint64{1, 2, 3, 4, 5}},
		"from a sequence on":                 {from: stream.From{Sequence: 4}, want: []uint64{4, 5}},
		"from behind the end":                {from: stream.From{Sequence: 6}},
		"from a time after the last":         {from: stream.From{Since: time.Now().Add(time.Hour)}},
		"subjects that end before the time":  {from: stream.From{Since: time.Now().Add(time.Hour)}, subjects: []string{"credits.*.a"}},
		"some subjects":                      {subjects: []string{"credits.*.a"}, want: []uint64{1, 3, 4}},
		"subjects that end before the place": {from: stream.From{Sequence: 5}, subjects: []string{"credits.*.a"}},
		"a subject that nobody wrote":        {subjects: []string{"credits.low.c"}},
		"the newest message of each subject": {from: stream.From{LastPerSubject: true}, want: []uint64{3, 4, 5, 1}},
	} {
		before, err := log.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		err = stream.Each(t.Context(), log, c.from, func(m stream.Message) error {
			got = append(got, m.Sequence)
			_, err := log.Append(t.Context(), stream.Append{Subject: "credits.expired.z"})
			return err
		}, c.subjects...)
		if len(got) > 0 && slices.Max(got) > before.Last {
			t.Errorf("%s: %v, of which some came after it began at %d", name, got, before.Last)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		got = slices.DeleteFunc(got, func(s uint64) bool { return s > 5 }) // an earlier case's
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// lagging delivers as if each message were the last, which is what a replica
// says that has not heard of those behind it.
type lagging struct{ stream.Log }

func (l lagging) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	reader, err := l.Log.Read(ctx, from, subjects...)
	if err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	messages := make(chan stream.Message)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			m, err := reader.Next(reading)
			if m.Pending = 0; err != nil {
				return
			}
			select {
			case messages <- m:
			case <-reading.Done():
				return
			}
		}
	})
	return stream.NewReader(messages, func() {
		stop()
		running.Wait()
		reader.Close()
	}), nil
}

func TestEachGoesOnToTheEndThatIsThere(t *testing.T) {
	server, broker := install(t)
	log := broker.Log(events.StreamSignals)
	for range 4 {
		if _, err := log.Append(t.Context(), stream.Append{Subject: "credits.low.a"}); err != nil {
			t.Fatal(err)
		}
	}
	signals, err := server.JetStream().Stream(t.Context(), events.StreamSignals)
	if err != nil {
		t.Fatal(err)
	}
	read := func(l stream.Log, from stream.From, want ...uint64) {
		t.Helper()
		var got []uint64
		err := stream.Each(t.Context(), l, from, func(m stream.Message) error {
			got = append(got, m.Sequence)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("read %v, %v; want %v", got, err, want)
		}
	}
	read(lagging{log}, stream.From{}, 1, 2, 3, 4)
	read(removing{log, func() error { return signals.DeleteMsg(t.Context(), 4) }}, stream.From{}, 1, 2, 3)
	read(removing{log, func() error { return signals.DeleteMsg(t.Context(), 3) }}, stream.From{Sequence: 3})
}

// removing removes something when it is about to be read.
type removing struct {
	stream.Log
	remove func() error
}

func (l removing) Read(ctx context.Context, from stream.From, subjects ...string) (*stream.Reader, error) {
	if err := l.remove(); err != nil {
		return nil, err
	}
	return l.Log.Read(ctx, from, subjects...)
}
