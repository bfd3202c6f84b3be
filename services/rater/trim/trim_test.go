package trim_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/rater/trim"
)

const partitions = 2

// installation has usage of two partitions: messages 1, 3 and 5 of the first,
// 2 and 4 of the second; 5 is a batch of three events.
type installation struct {
	*testing.T
	js     jetstream.JetStream
	broker stream.Broker
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	server := natstest.Run(t)
	in := &installation{T: t, js: server.JetStream()}
	_, err := stream.Ensure(t.Context(), in.js, stream.Config{Partitions: partitions})
	in.must(err)
	in.broker, err = stream.NewBroker(server.Connect())
	in.must(err)
	for i, partition := range []int{0, 1, 0, 1} {
		in.publish(events.UsageSubject(accountOf(partition)), `{}`, uint64(i+1))
	}
	in.publish(events.BatchSubject(0), `[{},{},{}]`, 5)
	return in
}

func (in *installation) must(err error) {
	in.Helper()
	if err != nil {
		in.Fatal(err)
	}
}

func (in *installation) publish(subject, body string, want uint64) {
	in.Helper()
	ack, err := in.js.Publish(in.Context(), subject, []byte(body))
	in.must(err)
	if ack.Sequence != want {
		in.Fatalf("published as %d; want %d", ack.Sequence, want)
	}
}

// settle appends to the ledger that a partition is settled through an event.
func (in *installation) settle(partition int, sequence uint64, index int) {
	in.Helper()
	m, _, err := in.broker.Log(events.StreamUsage).Get(in.Context(), sequence)
	in.must(err)
	in.settleAt(partition, events.Position{Sequence: sequence, Index: index, StoredAt: m.Time})
}

func (in *installation) settleAt(partition int, through events.Position) {
	in.Helper()
	body, err := events.EncodeChunk(events.Chunk{Span: &events.Span{
		Through: through, Events: 1, Duplicates: 1,
	}})
	in.must(err)
	_, err = in.js.Publish(in.Context(), events.LedgerSubject(partition, events.WriterUsage), body)
	in.must(err)
}

func accountOf(partition int) string {
	for i := 0; ; i++ {
		if account := fmt.Sprintf("a%d", i); events.Partition(account, partitions) == partition {
			return account
		}
	}
}

func TestOnlyWhatIsSettledAndOldEnoughIsTrimmed(t *testing.T) {
	type settled struct {
		sequence uint64
		index    int
	}
	for name, c := range map[string]struct {
		keep    time.Duration
		settled [partitions]settled
		first   uint64 // what the stream begins with afterwards
	}{
		"nothing is settled":                                  {first: 1},
		"one partition is not settled at all":                 {settled: [2]settled{{5, 2}, {}}, first: 1},
		"a message that is settled in part is kept":           {settled: [2]settled{{5, 1}, {4, 0}}, first: 5},
		"the slower partition holds the other's back":         {settled: [2]settled{{5, 2}, {2, 0}}, first: 2},
		"everything is settled":                               {settled: [2]settled{{5, 2}, {4, 0}}, first: 6},
		"everything is settled, and all of it is too young":   {keep: time.Hour, settled: [2]settled{{5, 2}, {4, 0}}, first: 1},
		"the message a partition stands at is kept meanwhile": {settled: [2]settled{{3, 0}, {4, 0}}, first: 3},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstallation(t)
			for p, s := range c.settled {
				if s.sequence > 0 {
					in.settle(p, s.sequence, s.index)
				}
			}
			removed, err := trim.Once(t.Context(), trim.Config{Broker: in.broker, JetStream: in.js, Partitions: partitions, Keep: c.keep})
			in.must(err)
			state, err := in.broker.Log(events.StreamUsage).State(t.Context())
			in.must(err)
			if state.First != c.first || state.Last != 5 || removed != c.first-1 {
				t.Errorf("usage is %d to %d after %d were removed; want %d to 5", state.First, state.Last, removed, c.first)
			}
			again, err := trim.Once(t.Context(), trim.Config{Broker: in.broker, JetStream: in.js, Partitions: partitions, Keep: c.keep})
			if in.must(err); again != 0 {
				t.Errorf("trimming again removed %d", again)
			}
		})
	}
}

// What has the sequences of settled events now may never have been rated.
func TestUsageThatLostItsEndIsNotTrimmed(t *testing.T) {
	for name, through := range map[string]events.Position{
		"and grew past it":      {Sequence: 3, StoredAt: time.Now().UTC()},
		"and has not yet grown": {Sequence: 9, StoredAt: time.Now().UTC()},
	} {
		in := newInstallation(t)
		in.settleAt(0, through)
		in.settle(1, 4, 0)
		removed, err := trim.Once(t.Context(), trim.Config{Broker: in.broker, JetStream: in.js, Partitions: partitions})
		var rewind *stream.RewindError
		if !errors.As(err, &rewind) || removed != 0 {
			t.Errorf("%s: removed %d, %v; want a rewind", name, removed, err)
		}
	}
}

func TestALedgerThatIsNotTheRatersTrimsNothing(t *testing.T) {
	in := newInstallation(t)
	in.settle(0, 5, 2)
	_, err := in.js.Publish(t.Context(), events.LedgerSubject(1, events.WriterUsage), []byte(`{}`))
	in.must(err)
	if removed, err := trim.Once(t.Context(), trim.Config{Broker: in.broker, JetStream: in.js, Partitions: partitions}); err == nil || removed != 0 {
		t.Errorf("removed %d, %v; want an error", removed, err)
	}
}
