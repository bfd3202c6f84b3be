package simulated

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// MaxPayload is the largest message that a server takes unless it is set
// otherwise, as of package natsserver.
const MaxPayload = 8 << 20

var (
	errNoStream = errors.New("stream not found")
	errTooLarge = errors.New("maximum payload exceeded")
)

// Server holds streams. Everything in it happens at once; it is for the
// scheduler's goroutine.
type Server struct {
	// MaxPayload is the largest message taken, in bytes.
	MaxPayload int64

	streams map[string]*store
	clock   time.Time // of the last message stored
}

// NewServer returns a server without streams.
func NewServer() *Server {
	return &Server{MaxPayload: MaxPayload, streams: map[string]*store{}}
}

// Create adds a stream, which must be new.
func (s *Server) Create(config Stream) {
	if s.streams[config.Name] != nil {
		panic("stream " + config.Name + " is there already")
	}
	s.streams[config.Name] = &store{Stream: config, created: s.tick()}
}

// Install creates the streams and buckets of an installation, as stream.Ensure
// does.
func (s *Server) Install(partitions int) {
	usage := Stream{Name: events.StreamUsage, Subjects: []string{"usage.*"}, Stored: func(subject string) string {
		account, ok := strings.CutPrefix(subject, "usage.")
		if !ok || strings.Contains(account, ".") {
			return subject
		}
		return events.StoredUsageSubject(events.Partition(account, partitions), account)
	}}
	for p := range partitions {
		usage.Subjects = append(usage.Subjects, events.BatchSubject(p))
	}
	s.Create(usage)
	s.Create(Stream{Name: events.StreamLedger, Subjects: []string{"ledger.*.*", "ledger.*.correction.*"}})
	s.Create(Stream{Name: events.StreamSignals, Subjects: []string{"credits.*.*"}})
	s.Create(Stream{Name: events.StreamDeadLetter, Subjects: []string{"deadletter.>"}})
	for _, bucket := range []string{events.BucketBalances, events.BucketCatalog, events.BucketLeases, events.BucketProjections} {
		s.Create(Stream{Name: stream.BucketLog(bucket), Subjects: []string{stream.BucketSubject(bucket, ">")}, NewestOnly: true})
	}
	s.Create(Stream{Name: "OBJ_" + events.BucketSnapshots, Subjects: []string{
		"$O." + events.BucketSnapshots + ".C.>", "$O." + events.BucketSnapshots + ".M.>",
	}, Rollup: true})
}

// tick returns the server's time, which never stands still.
func (s *Server) tick() time.Time {
	now := time.Now().UTC()
	if !now.After(s.clock) {
		now = s.clock.Add(time.Nanosecond)
	}
	s.clock = now
	return now
}

func (s *Server) stream(name string) (*store, error) {
	found, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("open stream %s: %w", name, errNoStream)
	}
	return found, nil
}

// Append appends a message to a stream, as a publisher whom nothing befalls.
func (s *Server) Append(name string, a stream.Append) (uint64, error) {
	to, err := s.stream(name)
	switch {
	case err != nil:
		return 0, err
	case int64(size(a.Subject, a.Header, a.Data)) > s.MaxPayload:
		return 0, fmt.Errorf("append to %s: %w", a.Subject, errTooLarge)
	case !matchesAny(to.Subjects, a.Subject):
		return 0, fmt.Errorf("append to %s: no stream takes it", a.Subject)
	}
	return to.append(a, s.tick())
}

// Messages returns what a stream holds, in order.
func (s *Server) Messages(name string) []stream.Message {
	from, err := s.stream(name)
	if err != nil {
		panic(err)
	}
	var all []stream.Message
	for i := range from.messages {
		if from.messages[i].replaced == 0 {
			all = append(all, from.messages[i].Message)
		}
	}
	return all
}

// History returns all that a stream ever held and did not lose, in order: in a
// bucket also what was replaced.
func (s *Server) History(name string) []stream.Message {
	from, err := s.stream(name)
	if err != nil {
		panic(err)
	}
	all := make([]stream.Message, len(from.messages))
	for i := range from.messages {
		all[i] = from.messages[i].Message
	}
	return all
}

// Last is the last sequence of a stream.
func (s *Server) Last(name string) uint64 {
	from, err := s.stream(name)
	if err != nil {
		panic(err)
	}
	return from.last()
}

// Rewind takes every message of a stream behind sequence end away, as a power
// cut does with what was not synced. Their sequences are given out again. What
// they replaced in a bucket is there again.
func (s *Server) Rewind(name string, end uint64) {
	from, err := s.stream(name)
	if err != nil {
		panic(err)
	}
	from.rewind(end)
}

// Names returns the names of the streams, in order.
func (s *Server) Names() []string {
	names := make([]string, 0, len(s.streams))
	for name := range s.streams {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// expired is the error of a caller who stopped waiting.
func expired(ctx context.Context, what string) error {
	return fmt.Errorf("%s: %w", what, context.Cause(ctx))
}
