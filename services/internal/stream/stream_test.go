package stream_test

import (
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
