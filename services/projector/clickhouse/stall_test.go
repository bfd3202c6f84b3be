package clickhouse

import (
	"context"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// A process that was stopped in the middle of an insert holds the next owner up
// until the server lets go of what does not come: by default, minutes later.
func TestTheNextOwnerDoesNotWaitForAWriterThatWasStopped(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	next, err := newServer(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if _, err := next.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, wake := context.WithCancel(t.Context())
	defer wake()
	stopped, ended := make(chan struct{}), make(chan error, 1)
	n := &nativeInserter{options: next.options}
	if err := n.dial(ctx); err != nil {
		t.Fatal(err)
	}
	defer n.close()
	text := new(proto.ColStr)
	text.Append("stalled")
	query := ch.Query{
		Body: "INSERT INTO stopped_partitions (reason) VALUES", QueryID: newQueryID(next.database(), "stopped_partitions", "stalled"),
		Input: proto.Input{{Name: "reason", Data: text}},
		OnInput: func(context.Context) error {
			close(stopped)
			<-ctx.Done()
			return ctx.Err()
		},
	}
	for _, s := range next.settings {
		query.Settings = append(query.Settings, ch.Setting{Key: s.name, Value: s.value, Important: true})
	}
	go func() { ended <- n.client.Do(ctx, query) }()
	<-stopped
	// As long as a test ever waits, and a fraction of what the server would.
	waiting, giveUp := context.WithTimeout(t.Context(), waitMax)
	defer giveUp()
	if err := next.awaitInserts(waiting, next.database()); err != nil {
		t.Errorf("the insert is running still: %v", err)
	}
	var rows uint64
	scan(t, next.conn, "SELECT count() FROM stopped_partitions", &rows)
	if rows != 0 {
		t.Errorf("%d rows of an insert that never ended", rows)
	}
	wake()
	<-ended
}
