package events

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names of streams and buckets. See INTERFACES: they are fixed.
const (
	StreamUsage      = "USAGE"
	StreamLedger     = "LEDGER"
	StreamSignals    = "SIGNALS"
	StreamDeadLetter = "DEADLETTER"

	BucketBalances = "BALANCES"
	BucketCatalog  = "CATALOG"

	// The services' own.
	BucketLeases      = "LEASES"      // which instance has which partition
	BucketProjections = "PROJECTIONS" // what a projection agreed to write next
	BucketSnapshots   = "SNAPSHOTS"   // object store: states of the fold
)

// Prefixes of the keys of bucket CATALOG. An account's id or a plan's name
// follows, or a rate card's name, a dot and its version.
const (
	CatalogAccount  = "account."
	CatalogPlan     = "plan."
	CatalogRateCard = "ratecard."
)

// DefaultPartitions is the number of partitions unless an installation chose
// another; it is fixed for the life of an installation.
const DefaultPartitions = 16

// Broadcast stands in place of a partition in the subject of ledger entries
// that every partition folds, such as plans.
const Broadcast = "all"

// Writer says which of a partition's writers appends a ledger message. Each
// has its own subject, so that each can be fenced on its own.
type Writer string

// The writers of the ledger.
const (
	WriterUsage   Writer = "usage"   // the rater: debits, fenced
	WriterCommand Writer = "command" // the gateway: grants, accounts, plans, cards
	WriterClock   Writer = "clock"   // the projector: time that passed without traffic, fenced
	// WriterCorrection is the gateway too: corrections, fenced by usage event.
	WriterCorrection Writer = "correction"
)

// UsageSubject is where one usage event of account is published.
func UsageSubject(account string) string { return "usage." + account }

// BatchSubject is where a batch of usage events of one partition is published.
func BatchSubject(partition int) string { return "usage.batch." + strconv.Itoa(partition) }

// StoredUsageSubject is the subject under which the USAGE stream stores an
// event published on UsageSubject.
func StoredUsageSubject(partition int, account string) string {
	return fmt.Sprintf("usage.%d.%s", partition, account)
}

// ParseUsageSubject returns the account a stored or published usage subject
// names, or batch = true for a batch subject.
func ParseUsageSubject(subject string) (account string, batch bool, err error) {
	tokens := strings.Split(subject, ".")
	switch {
	case len(tokens) == 2 && tokens[0] == "usage":
		return tokens[1], false, nil
	case len(tokens) == 3 && tokens[0] == "usage" && tokens[1] == "batch":
		return "", true, nil
	case len(tokens) == 3 && tokens[0] == "usage":
		return tokens[2], false, nil
	}
	return "", false, fmt.Errorf("subject %s: expected usage.<account> or usage.batch.<partition>: %w", clip(subject), ErrInvalid)
}

// LedgerSubject is where writer appends entries of partition.
func LedgerSubject(partition int, writer Writer) string {
	return fmt.Sprintf("ledger.%d.%s", partition, writer)
}

// BroadcastSubject is where commands for every partition are appended.
func BroadcastSubject() string { return "ledger." + Broadcast + "." + string(WriterCommand) }

// PartitionLedgerSubjects are the subjects one partition's fold reads, in
// stream order.
func PartitionLedgerSubjects(partition int) []string {
	return []string{fmt.Sprintf("ledger.%d.*", partition), CorrectionSubjects(partition), "ledger." + Broadcast + ".*"}
}

// HoldSubject is where a client without HTTP sends a request about the holds of
// account: a HoldRequest, which a gateway answers.
func HoldSubject(account string) string { return "drawdown.holds." + account }

// SignalSubject is where a signal of kind about account is published.
func SignalSubject(kind SignalKind, account string) string {
	return "credits." + string(kind) + "." + account
}

// DeadLetterSubject is where the event at index of the USAGE message at
// sequence is kept when it cannot be rated. One subject per event, so that it
// is kept once.
func DeadLetterSubject(partition int, sequence uint64, index int) string {
	return fmt.Sprintf("deadletter.usage.%d.%d.%d", partition, sequence, index)
}

// ReusedDeadLetterSubject is where it is kept when DeadLetterSubject holds an
// event of another message: USAGE lost its end, and gave the sequence to the
// message stored at a later time.
func ReusedDeadLetterSubject(partition int, sequence uint64, index int, storedAt time.Time) string {
	return fmt.Sprintf("%s.%d", DeadLetterSubject(partition, sequence, index), storedAt.UnixNano())
}

// Partition is the partition of account among n: FNV-1a 32 modulo n, as the
// NATS server's partition() subject transform computes it.
func Partition(account string, n int) int {
	const offset, prime = 2166136261, 16777619
	hash := uint32(offset)
	for i := range len(account) {
		hash = (hash ^ uint32(account[i])) * prime
	}
	return int(hash % uint32(n))
}

// ValidAccount reports whether id may name an account: 1 to 64 of
// A–Z a–z 0–9 _ - (one NATS token).
func ValidAccount(id string) bool { return validToken(id, 64, "_-") }

func validToken(s string, maxLen int, extra string) bool {
	if s == "" || len(s) > maxLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
