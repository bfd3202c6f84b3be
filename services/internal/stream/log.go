package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Broker is where the streams are. NewBroker's is NATS; tests have one that
// fails in every way it may.
type Broker interface {
	// Log returns the stream of that name, which need not exist yet.
	Log(name string) Log
	// Interrupted returns a channel that receives when the connection is lost, or
	// a stream is found to have lost what was read of it. What was read before
	// may be gone: read on only after checking the place. Call stop when done.
	Interrupted() (lost <-chan struct{}, stop func())
	// Reply publishes body to whoever waits on subject, which may be nobody.
	Reply(subject string, body []byte) error
	// MaxPayload is the largest message taken, header included, in bytes.
	MaxPayload() int64
}

// Log is one stream. Everything is asked of its leader, or costs no more than a
// refused append when it is stale. Its methods may be called from many
// goroutines. Errors other than those named leave the outcome unknown.
type Log interface {
	Name() string
	// State tells where the stream begins and ends.
	State(ctx context.Context) (State, error)
	// Read opens a reader of the messages on some subjects, all when none is
	// named, from a place on. Close it.
	Read(ctx context.Context, from From, subjects ...string) (*Reader, error)
	// Get returns the message at a sequence; ok is false when there is none.
	Get(ctx context.Context, sequence uint64) (m Message, ok bool, err error)
	// Last returns the newest message on a subject, which may be a wildcard;
	// ok is false when there is none.
	Last(ctx context.Context, subject string) (m Message, ok bool, err error)
	// Append appends a message and returns its sequence. ErrFenced means that
	// nothing was written; after any other error nobody knows: read the
	// subject's end before you go on.
	Append(ctx context.Context, a Append) (uint64, error)
	// AppendAll appends messages, several at a time, and returns for each, in
	// order, what Append would. Their order in the stream is theirs only if
	// none fails.
	AppendAll(ctx context.Context, all []Append) []Appended
}

// Append is a message to be appended, and the fence before it.
type Append struct {
	Subject string
	Header  nats.Header
	Data    []byte
	// Fence appends only if the newest message on its subject is the one it
	// names; nil appends always.
	Fence *Fence
}

// Fence names the newest message on a subject, as the writer believes.
type Fence struct {
	Subject  string // may be a wildcard; empty means that of the message
	Sequence uint64 // 0 means that there is none
}

// Appended is what became of one Append.
type Appended struct {
	Sequence uint64
	Err      error
}

// From is where a reader begins. The zero value is the beginning.
type From struct {
	Sequence uint64    // at this sequence; 0 and 1 mean the beginning
	Since    time.Time // at the first message stored at this time or later
	// LastPerSubject delivers the newest message of each subject there is, and
	// then what comes.
	LastPerSubject bool
}

// State is what a stream holds.
type State struct {
	First, Last uint64    // sequences; Last is 0 when nothing was ever stored
	Messages    uint64    // in it now
	Bytes       uint64    // on disk
	LastAt      time.Time // when Last was stored
	Created     time.Time
	Now         time.Time // the server's clock when it answered
}

// Mark is the identity of one stored message: a stream that lost its end in a
// power cut gives its sequence out again, and not its time. The zero value
// stands before the first message.
type Mark struct {
	Sequence uint64    `json:"sequence"`
	StoredAt time.Time `json:"stored_at"`
}

// MarkOf returns the identity of m.
func MarkOf(m Message) Mark { return Mark{Sequence: m.Sequence, StoredAt: m.Time} }

// Verify checks that l still holds the message that m names. A *RewindError
// says that it does not; nil also covers a message that expired, which cannot
// be checked.
func (m Mark) Verify(ctx context.Context, l Log) error {
	if m.Sequence == 0 {
		return nil
	}
	found, ok, err := l.Get(ctx, m.Sequence)
	switch {
	case err != nil:
		return err
	case ok && found.Time.Equal(m.StoredAt):
		return nil
	case ok:
		return &RewindError{Stream: l.Name(), Mark: m, Found: MarkOf(found)}
	}
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	if state.Last < m.Sequence {
		return &RewindError{Stream: l.Name(), Mark: m, Found: Mark{Sequence: state.Last, StoredAt: state.LastAt}}
	}
	return nil
}

// RewindError says that a stream no longer holds a message that somebody has
// built on: the stream lost its end, or is another one.
type RewindError struct {
	Stream string
	Mark   Mark // what was built on
	// Found is what the stream holds at that sequence, or its last message when
	// it ends before.
	Found Mark
}

func (e *RewindError) Error() string {
	if e.Found.Sequence < e.Mark.Sequence {
		return fmt.Sprintf("stream %s ends at %d; expected message %d, stored at %s: the stream lost its end, or is another one; see drawdown verify --repair",
			e.Stream, e.Found.Sequence, e.Mark.Sequence, e.Mark.StoredAt.UTC().Format(time.RFC3339Nano))
	}
	return fmt.Sprintf("message %d of stream %s was stored at %s; expected %s: the stream lost its end, or is another one; see drawdown verify --repair",
		e.Mark.Sequence, e.Stream, e.Found.StoredAt.UTC().Format(time.RFC3339Nano), e.Mark.StoredAt.UTC().Format(time.RFC3339Nano))
}
