package events

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckOrigin refuses a LEDGER message that none of the ledger's writers
// appends, in an installation with this number of partitions: a chunk on a
// subject that is no writer's, entries of another writer's kind, or of an
// account that another partition holds. All who fold the ledger ask it, so that
// they agree about what they do not fold. Its errors match ErrInvalid.
func CheckOrigin(subject string, chunk Chunk, partitions int) error {
	partition, writer, ok := originOf(subject, partitions)
	if !ok {
		return fmt.Errorf("nobody writes subject %s: %w", clip(subject), ErrInvalid)
	}
	if chunk.Span != nil && writer != WriterUsage {
		return fmt.Errorf("a span does not belong on this subject: %w", ErrInvalid)
	}
	broadcast := subject == BroadcastSubject()
	for i, e := range chunk.Entries {
		if c := e.Correction; c != nil && subject != CorrectionSubject(partition, c.Source, c.ID) {
			return fmt.Errorf("entry %d corrects another usage event than this subject is for: %w", i, ErrInvalid)
		}
		if writerOf(e.Kind) != writer || broadcast != (e.Account == "") {
			return fmt.Errorf("entry %d of kind %s does not belong on this subject: %w", i, e.Kind, ErrInvalid)
		}
		if own := Partition(e.Account, partitions); !broadcast && own != partition {
			return fmt.Errorf("entry %d is of account %s, which partition %d holds: %w", i, e.Account, own, ErrInvalid)
		}
	}
	return nil
}

// originOf returns whose subject it is; ok is false when it is nobody's. A
// broadcast is of no partition.
func originOf(subject string, partitions int) (partition int, writer Writer, ok bool) {
	if subject == BroadcastSubject() {
		return -1, WriterCommand, true
	}
	tokens := strings.Split(subject, ".")
	corrects := len(tokens) == 4 && tokens[2] == string(WriterCorrection)
	if len(tokens) != 3 && !corrects {
		return 0, "", false
	}
	partition, err := strconv.Atoi(tokens[1])
	if err != nil || partition < 0 || partition >= partitions {
		return 0, "", false
	}
	if corrects {
		return partition, WriterCorrection, strings.HasPrefix(subject, strings.TrimSuffix(CorrectionSubjects(partition), "*"))
	}
	for _, writer := range []Writer{WriterUsage, WriterCommand, WriterClock} {
		if subject == LedgerSubject(partition, writer) {
			return partition, writer, true
		}
	}
	return 0, "", false
}

// writerOf returns who appends entries of kind k.
func writerOf(k EntryKind) Writer {
	switch k {
	case EntryDebit:
		return WriterUsage
	case EntryTick:
		return WriterClock
	case EntryCorrection:
		return WriterCorrection
	}
	return WriterCommand
}
