package clickhouse

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Stop is a partition that has no rows from one message on, because that
// message is no ledger message: it cannot be read, or nobody of the ledger's
// appends it there. Other partitions go on.
type Stop struct {
	// Partition is a number, or events.Broadcast when every partition stops. One
	// that does not exist stops alone: nobody's rows are missing, and it is told
	// of because somebody appends to LEDGER who should not.
	Partition string `json:"partition"`
	// Sequence is that of the message in LEDGER.
	Sequence   uint64    `json:"sequence"`
	Reason     string    `json:"reason"`
	RecordedAt time.Time `json:"recorded_at"` // when LEDGER took the message
}

func (s Stop) String() string {
	return fmt.Sprintf("partition %s has no rows in ClickHouse from message %d of stream %s on: %s", s.Partition, s.Sequence, events.StreamLedger, s.Reason)
}

// stops are the partitions that have stopped, in the order of their messages.
// They follow from LEDGER; where a manifest knows of one already, its word
// counts, so that a batch stays the same when a newer version can read more.
type stops struct {
	all   []Stop
	known []Stop // by the manifest, and perhaps not yet met
}

// withheld reports whether the partition of m has stopped before m.
func (s *stops) withheld(partition string) bool {
	return slices.ContainsFunc(s.all, func(stop Stop) bool {
		return stop.Partition == partition || stop.Partition == events.Broadcast
	})
}

// expected returns the stop that the manifest knows to be at m.
func (s *stops) expected(m stream.Message) (Stop, bool) {
	i := slices.IndexFunc(s.known, func(stop Stop) bool { return stop.Sequence == m.Sequence })
	if i < 0 {
		return Stop{}, false
	}
	return s.known[i], true
}

// add never writes to what list gave out.
func (s *stops) add(stop Stop) { s.all = append(slices.Clip(s.all), stop) }

// list returns the stops so far. The caller must not change them.
func (s *stops) list() []Stop { return s.all }

// partitionOf returns the partition that a ledger subject names, which is what
// it says even when there is no such partition.
func partitionOf(subject string) (partition string, err error) {
	tokens := strings.Split(subject, ".")
	if corrects := len(tokens) == 4 && tokens[2] == string(events.WriterCorrection); len(tokens) != 3 && !corrects {
		return subject, fmt.Errorf("subject %q: expected ledger.<partition>.<writer>", subject)
	}
	partition = tokens[1]
	if _, err := strconv.ParseUint(partition, 10, 16); err != nil && partition != events.Broadcast {
		return partition, fmt.Errorf("subject %q: expected the number of a partition, or %q", subject, events.Broadcast)
	}
	return partition, nil
}

// stoppedRows are rows of table stopped_partitions. Sending one again replaces
// it by itself.
type stoppedRows struct {
	*columns
	partition, reason *proto.ColStr
	sequence          *proto.ColUInt64
	recordedAt        moments
}

func newStoppedRows() *stoppedRows {
	c := newColumns(TableStopped)
	return &stoppedRows{
		columns: c, partition: c.text("partition"), sequence: c.uint64("sequence"), reason: c.text("reason"), recordedAt: c.moment("recorded_at"),
	}
}

func (r *stoppedRows) put(s Stop) {
	r.partition.Append(s.Partition)
	r.sequence.Append(s.Sequence)
	r.reason.Append(s.Reason)
	r.recordedAt.put(s.RecordedAt)
}

func (r *stoppedRows) row(i int) Row {
	return Row{Sequence: r.sequence.Row(i), Kind: r.partition.Row(i)}
}
