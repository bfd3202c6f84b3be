package simulated

import (
	"bytes"
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Stream says how one stream of a server is set.
type Stream struct {
	Name     string
	Subjects []string
	// NewestOnly keeps the newest message of each subject alone, as buckets do.
	NewestOnly bool
	// Rollup lets a message take the place of all before it on its subject.
	Rollup bool
	// Stored is the subject a message is stored under; nil changes none.
	Stored func(subject string) string
}

// store is one stream. The message at sequence s is messages[s-1].
type store struct {
	Stream
	created  time.Time
	messages []stored
}

type stored struct {
	stream.Message
	// replaced is the sequence of the message that took this one's place in a
	// bucket; 0 while it is there.
	replaced uint64
}

func (s *store) last() uint64 { return uint64(len(s.messages)) }

// get returns the message at a sequence, if it is there.
func (s *store) get(sequence uint64) (stream.Message, bool) {
	if sequence == 0 || sequence > s.last() || s.messages[sequence-1].replaced != 0 {
		return stream.Message{}, false
	}
	return s.messages[sequence-1].Message, true
}

// newest returns the newest message on a subject, which may be a wildcard.
func (s *store) newest(subject string) (stream.Message, bool) {
	for i := len(s.messages) - 1; i >= 0; i-- {
		if m := &s.messages[i]; m.replaced == 0 && matches(subject, m.Subject) {
			return m.Message, true
		}
	}
	return stream.Message{}, false
}

// append adds a message stored at a time, if its fence lets it.
func (s *store) append(a stream.Append, at time.Time) (uint64, error) {
	subject := a.Subject
	if s.Stored != nil {
		subject = s.Stored(subject)
	}
	if f := a.Fence; f != nil {
		fenced := subject
		if f.Subject != "" {
			fenced = f.Subject
		}
		if m, _ := s.newest(fenced); m.Sequence != f.Sequence {
			return 0, stream.ErrFenced
		}
	}
	sequence := s.last() + 1
	if s.NewestOnly || s.Rollup && a.Header.Get(headerRollup) == rollupSubject {
		s.replace(subject, sequence)
	}
	s.messages = append(s.messages, stored{Message: stream.Message{
		Subject: subject, Header: storedHeader(a.Header), Data: bytes.Clone(a.Data), Sequence: sequence, Time: at,
	}})
	return sequence, nil
}

// headerRollup, with this value, makes a message take the place of all before
// it on its subject.
const (
	headerRollup  = "Nats-Rollup"
	rollupSubject = "sub"
)

// replace takes the messages on a subject out in favour of the one at by.
func (s *store) replace(subject string, by uint64) {
	for i := range s.messages {
		if m := &s.messages[i]; m.replaced == 0 && m.Subject == subject {
			m.replaced = by
		}
	}
}

func storedHeader(h nats.Header) nats.Header {
	if len(h) == 0 {
		return nil
	}
	return maps.Clone(h)
}

// rewind takes every message behind sequence end away. What they replaced is
// there again, as on a disk that lost the end of its last file.
func (s *store) rewind(end uint64) {
	s.messages = s.messages[:min(end, s.last())]
	for i := range s.messages {
		if s.messages[i].replaced > end {
			s.messages[i].replaced = 0
		}
	}
}

func (s *store) state(now time.Time) stream.State {
	state := stream.State{First: s.last() + 1, Last: s.last(), Created: s.created, Now: now}
	for i := len(s.messages) - 1; i >= 0; i-- {
		if m := &s.messages[i]; m.replaced == 0 {
			state.First = m.Sequence
			state.Messages++
			state.Bytes += size(m.Subject, m.Header, m.Data)
		}
	}
	if s.last() > 0 {
		state.LastAt = s.messages[s.last()-1].Time
	} else {
		state.First = 0
	}
	return state
}

func size(subject string, header nats.Header, data []byte) uint64 {
	n := len(subject) + len(data)
	for name, values := range header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return uint64(n)
}
