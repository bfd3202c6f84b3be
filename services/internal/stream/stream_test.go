package stream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestEnsurePutsThePartitionInFrontAsTheSDKComputesIt(t *testing.T) {
	js := natstest.Run(t).JetStream()
	streams, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"acme", "batch", "3", "A-b_9", "83-149-9-216"} {
		ack, err := js.Publish(t.Context(), events.UsageSubject(account), nil)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := streams.Usage.GetMsg(t.Context(), ack.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		want := events.StoredUsageSubject(events.Partition(account, streams.Partitions), account)
		if stored.Subject != want {
			t.Errorf("usage of %s is stored under %s; want %s", account, stored.Subject, want)
		}
	}
}

func TestABatchForAPartitionThatDoesNotExistIsNotAcknowledged(t *testing.T) {
	js := natstest.Run(t).JetStream()
	if _, err := stream.Ensure(t.Context(), js, stream.Config{Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), events.BatchSubject(3), nil); err != nil {
		t.Errorf("publish to the last partition: %v", err)
	}
	if ack, err := js.Publish(t.Context(), events.BatchSubject(4), nil); err == nil {
		t.Errorf("publish one past the last partition was acknowledged: %v", ack)
	}
}

func TestEnsureAgainKeepsWhatIsThere(t *testing.T) {
	js := natstest.Run(t).JetStream()
	first, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Balances.Put(t.Context(), "acme", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: events.LedgerSubject(0, events.WriterUsage)}); err != nil {
		t.Fatal(err)
	}
	second, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := second.Balances.Get(t.Context(), "acme"); err != nil || string(entry.Value()) != "{}" {
		t.Errorf("balance after a second Ensure: %v, %v", entry, err)
	}
	if n := second.Ledger.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("ledger holds %d messages after a second Ensure; want 1", n)
	}
}

func TestEnsureRefusesAnotherNumberOfPartitions(t *testing.T) {
	js := natstest.Run(t).JetStream()
	if _, err := stream.Ensure(t.Context(), js, stream.Config{Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Ensure(t.Context(), js, stream.Config{Partitions: 8})
	if err == nil || !strings.Contains(err.Error(), "DRAWDOWN_PARTITIONS=4") {
		t.Errorf("Ensure with 8 partitions over 4: %v; want an error that says what to set", err)
	}
}

func TestAnInstallationKeepsItsIdentity(t *testing.T) {
	js := natstest.Run(t).JetStream()
	first, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := stream.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if first.Installation == "" || again.Installation != first.Installation || opened.Installation != first.Installation {
		t.Errorf("installations %q, then %q, opened %q; want one", first.Installation, again.Installation, opened.Installation)
	}
}

func TestEnsureRefusesAStreamOfAnotherInstallation(t *testing.T) {
	js := natstest.Run(t).JetStream()
	if _, err := stream.Ensure(t.Context(), js, stream.Config{}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), events.StreamUsage); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Ensure(t.Context(), js, stream.Config{})
	if err == nil || !strings.Contains(err.Error(), "two installations") {
		t.Errorf("Ensure over streams of another installation: %v; want a refusal", err)
	}
}

func TestAMarkIsVerifiedByIdentityAndNotBySequenceAlone(t *testing.T) {
	server := natstest.Run(t)
	js := server.JetStream()
	if _, err := stream.Ensure(t.Context(), js, stream.Config{}); err != nil {
		t.Fatal(err)
	}
	broker, err := stream.NewBroker(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	log := broker.Log(events.StreamSignals)
	for range 3 {
		if _, err := log.Append(t.Context(), stream.Append{Subject: "credits.low.acme"}); err != nil {
			t.Fatal(err)
		}
	}
	second, _, err := log.Get(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), events.StreamSignals)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		mark   stream.Mark
		rewind bool
	}{
		"the message it names is there":       {mark: stream.MarkOf(second)},
		"it stands before the first message":  {mark: stream.Mark{}},
		"the message it names is gone":        {mark: stream.Mark{Sequence: 1, StoredAt: second.Time}},
		"another message has its sequence":    {mark: stream.Mark{Sequence: 3, StoredAt: second.Time}, rewind: true},
		"the stream ends before the sequence": {mark: stream.Mark{Sequence: 4, StoredAt: second.Time}, rewind: true},
	} {
		var rewind *stream.RewindError
		if err := c.mark.Verify(t.Context(), log); errors.As(err, &rewind) != c.rewind || err != nil && !c.rewind {
			t.Errorf("%s: %v; want a rewind %v", name, err, c.rewind)
		}
	}
}

func TestEnsureAsksAServerThatCameBackAgain(t *testing.T) {
	server := natstest.Run(t)
	js := server.JetStream()
	server.Close()
	ensured := make(chan error, 1)
	go func() {
		_, err := stream.Ensure(t.Context(), js, stream.Config{})
		ensured <- err
	}()
	server.Start()
	if err := <-ensured; err != nil {
		t.Errorf("Ensure while the server restarts: %v", err)
	}
}
