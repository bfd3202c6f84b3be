// Package streamsuite says what a stream.Broker does, as tests: the broker that
// is NATS and the simulated one pass them alike, so that what is proved on the
// one holds on the other.
package streamsuite

import (
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Partitions is how many partitions the installation behind a Rig must have.
const Partitions = 4

// Rig is a broker with the streams of a new installation, and a test's hands on
// what a broker does not offer.
type Rig struct {
	Broker stream.Broker
	// Cut ends the connection of Broker and lets it come back.
	Cut func()
	// Subscribe returns what Broker replies on a subject from now on.
	Subscribe func(t *testing.T, subject string) <-chan []byte
}

// Run holds a broker against the suite. Setting calls test with a rig of its
// own, and returns when test has.
func Run(t *testing.T, setting func(t *testing.T, test func(t *testing.T, rig Rig))) {
	for name, test := range map[string]func(t *testing.T, rig Rig){
		"an append returns the next sequence and is stored as it is":             appendStores,
		"times of storing strictly rise":                                         timesRise,
		"an append behind the expected message writes, and else nothing":         fenceOnOneSubject,
		"a fence may name another subject":                                       fenceOnAnotherSubject,
		"a fence may name several subjects":                                      fenceOnWildcard,
		"one of many writers who expect the same message writes":                 fenceLetsOneThrough,
		"each of many appends has a result of its own, in their order":           appendAllResults,
		"an append that no stream takes, or that is too large, writes nothing":   refusedAppends,
		"an empty stream says that it is empty":                                  emptyState,
		"a stream says where it begins and ends":                                 state,
		"a message is found by its sequence, and nothing else is":                get,
		"the newest message is found by subject or wildcard":                     last,
		"a reader gives every message from a sequence on, in order":              readFromSequence,
		"a reader gives the messages of its subjects alone":                      readSubjects,
		"a reader begins at a time":                                              readSince,
		"a reader begins with the newest message of each subject":                readNewest,
		"a reader gives what is appended later":                                  readLive,
		"a reader says how many messages stand behind the one it gives":          readPending,
		"a reader goes on after the connection was cut":                          readAcrossCut,
		"a reader gives messages whatever their headers say":                     readEveryHeader,
		"whoever asked learns that the connection was lost":                      interrupted,
		"a bucket keeps the newest value of each key alone":                      bucketKeepsNewest,
		"a bucket is fenced by the revision of the key":                          bucketFence,
		"a reader of a bucket passes over what was replaced":                     bucketRead,
		"all that a bucket holds is read while a value is replaced":              newest,
		"a message of an object store takes the place of those before it":        rollup,
		"usage is stored under its partition":                                    usageSubject,
		"a reply reaches who waits for it, and it is no error that nobody waits": reply,
		"who stops waiting gets an error":                                        contextEnds,
		"a stream that does not exist is an error and no end":                    unknownStream,
		"a mark is verified by the identity of its message":                      verifyMark,
	} {
		t.Run(name, func(t *testing.T) { setting(t, test) })
	}
}

// The stream and bucket that most tests use.
const (
	logName    = "SIGNALS"
	bucketName = "KV_BALANCES"
)

func subject(kind, account string) string { return "credits." + kind + "." + account }

func key(account string) string { return "$KV.BALANCES." + account }

// must appends and returns the sequence.
func must(t *testing.T, l stream.Log, a stream.Append) uint64 {
	t.Helper()
	sequence, err := l.Append(t.Context(), a)
	if err != nil {
		t.Fatalf("append to %s: %v", a.Subject, err)
	}
	return sequence
}

// fill appends one message to each of subjects.
func fill(t *testing.T, l stream.Log, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		must(t, l, stream.Append{Subject: s, Data: []byte(s)})
	}
}

// open opens a reader that ends with the test.
func open(t *testing.T, l stream.Log, from stream.From, subjects ...string) *stream.Reader {
	t.Helper()
	reader, err := l.Read(t.Context(), from, subjects...)
	if err != nil {
		t.Fatalf("read %s: %v", l.Name(), err)
	}
	t.Cleanup(reader.Close)
	return reader
}

// next returns the next message of a reader.
func next(t *testing.T, r *stream.Reader) stream.Message {
	t.Helper()
	m, err := r.Next(t.Context())
	if err != nil {
		t.Fatalf("read on: %v", err)
	}
	return m
}

// wantSequences checks the sequences that a reader gives next.
func wantSequences(t *testing.T, r *stream.Reader, want ...uint64) {
	t.Helper()
	for _, sequence := range want {
		if m := next(t, r); m.Sequence != sequence {
			t.Fatalf("got message %d on %s; want %d of %v", m.Sequence, m.Subject, sequence, want)
		}
	}
}

// getMessage returns the message at a sequence, which must be there.
func getMessage(t *testing.T, l stream.Log, sequence uint64) stream.Message {
	t.Helper()
	m, ok, err := l.Get(t.Context(), sequence)
	if err != nil || !ok {
		t.Fatalf("message %d of %s: %v, %v", sequence, l.Name(), ok, err)
	}
	return m
}

// last sequence of a stream.
func end(t *testing.T, l stream.Log) uint64 {
	t.Helper()
	s, err := l.State(t.Context())
	if err != nil {
		t.Fatalf("look at %s: %v", l.Name(), err)
	}
	return s.Last
}
