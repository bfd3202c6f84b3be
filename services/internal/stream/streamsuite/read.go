package streamsuite

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func emptyState(t *testing.T, rig Rig) {
	s, err := rig.Broker.Log(logName).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Last != 0 || s.Messages != 0 || s.Bytes != 0 || s.Created.IsZero() || s.Now.Before(s.Created) {
		t.Errorf("state of an empty stream: %+v", s)
	}
}

func state(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("low", "a"))
	s, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := getMessage(t, l, 3)
	if s.First != 1 || s.Last != 3 || s.Messages != 3 || s.Bytes == 0 || !s.LastAt.Equal(last.Time) || s.Now.Before(s.LastAt) {
		t.Errorf("state: %+v; want 1 to 3, stored at %s", s, last.Time)
	}
}

func get(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"))
	if m := getMessage(t, l, 2); m.Subject != subject("low", "b") {
		t.Errorf("message 2 is on %s", m.Subject)
	}
	if m, ok, err := l.Get(t.Context(), 3); ok || err != nil {
		t.Errorf("message 3: %+v, %v, %v; want none", m, ok, err)
	}
}

func last(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("exhausted", "a"), subject("low", "b"))
	for pattern, want := range map[string]uint64{
		subject("low", "a"): 1, subject("low", "b"): 4, subject("*", "a"): 3, subject("low", "*"): 4, "credits.>": 4,
		subject("restored", "a"): 0, subject("*", "c"): 0,
	} {
		m, ok, err := l.Last(t.Context(), pattern)
		if err != nil || ok != (want != 0) || m.Sequence != want {
			t.Errorf("last on %s: %d, %v, %v; want %d", pattern, m.Sequence, ok, err, want)
		}
	}
}

func readFromSequence(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	for i := range 5 {
		must(t, l, stream.Append{Subject: subject("low", "a"), Data: fmt.Append(nil, i)})
	}
	for _, from := range []uint64{0, 1, 3, 5} {
		r := open(t, l, stream.From{Sequence: from})
		for want := max(from, 1); want <= 5; want++ {
			m, stored := next(t, r), getMessage(t, l, want)
			if m.Sequence != want || string(m.Data) != fmt.Sprint(want-1) || !m.Time.Equal(stored.Time) || m.Subject != stored.Subject {
				t.Errorf("from %d: %+v; want %+v", from, m, stored)
			}
		}
	}
	beyond := open(t, l, stream.From{Sequence: 7})
	fill(t, l, subject("low", "a"), subject("low", "a"))
	wantSequences(t, beyond, 7)
}

func readSubjects(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("exhausted", "a"), subject("restored", "c"), subject("low", "a"))
	wantSequences(t, open(t, l, stream.From{}, subject("*", "a")), 1, 3, 5)
	wantSequences(t, open(t, l, stream.From{Sequence: 2}, subject("low", "*"), subject("restored", "c")), 2, 4, 5)
}

func readSince(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("low", "a"))
	second := getMessage(t, l, 2)
	wantSequences(t, open(t, l, stream.From{Since: second.Time}), 2, 3)
	wantSequences(t, open(t, l, stream.From{Since: second.Time}, subject("low", "a")), 3)
}

func readNewest(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("low", "a"), subject("exhausted", "c"))
	r := open(t, l, stream.From{LastPerSubject: true}, subject("low", "*"))
	wantSequences(t, r, 2)
	if m := next(t, r); m.Sequence != 3 || m.Pending != 0 {
		t.Errorf("the last of the newest messages is %d, with %d behind it; want 3 and none", m.Sequence, m.Pending)
	}
	fill(t, l, subject("low", "b"))
	wantSequences(t, r, 5)
}

func readLive(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	r := open(t, l, stream.From{})
	const many = 300 // past what a reader buffers
	for i := range many {
		must(t, l, stream.Append{Subject: subject("low", "a"), Data: fmt.Append(nil, i)})
	}
	for want := uint64(1); want <= many; {
		batch, err := r.Batch(t.Context(), 50)
		if err != nil || len(batch) == 0 || len(batch) > 50 {
			t.Fatalf("batch of %d: %v", len(batch), err)
		}
		for _, m := range batch {
			if m.Sequence != want {
				t.Fatalf("message %d; want %d", m.Sequence, want)
			}
			want++
		}
	}
}

func readPending(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "b"), subject("low", "a"), subject("low", "b"), subject("low", "a"))
	r := open(t, l, stream.From{Sequence: 2}, subject("low", "a"))
	for _, want := range []uint64{1, 0} {
		if m := next(t, r); m.Pending != want {
			t.Errorf("behind message %d stand %d; want %d", m.Sequence, m.Pending, want)
		}
	}
}

func readAcrossCut(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "a"))
	r := open(t, l, stream.From{})
	wantSequences(t, r, 1, 2)
	rig.Cut()
	fill(t, l, subject("low", "a"))
	wantSequences(t, r, 3)
}

func interrupted(t *testing.T, rig Rig) {
	lost, stop := rig.Broker.Interrupted()
	defer stop()
	select {
	case <-lost:
		t.Error("lost before it was cut")
	default:
	}
	rig.Cut()
	select {
	case <-lost:
	case <-t.Context().Done():
	}
}

func bucketKeepsNewest(t *testing.T, rig Rig) {
	l := rig.Broker.Log(bucketName)
	fill(t, l, key("a"), key("b"), key("a"))
	if m, ok, err := l.Get(t.Context(), 1); ok || err != nil {
		t.Errorf("the value that was replaced: %+v, %v, %v; want none", m, ok, err)
	}
	s, err := l.State(t.Context())
	if err != nil || s.First != 2 || s.Last != 3 || s.Messages != 2 {
		t.Errorf("state: %+v, %v; want 2 to 3, two messages", s, err)
	}
	for k, want := range map[string]uint64{key("a"): 3, key("b"): 2} {
		if m, _, err := l.Last(t.Context(), k); err != nil || m.Sequence != want {
			t.Errorf("value of %s: %d, %v; want %d", k, m.Sequence, err, want)
		}
	}
}

func bucketFence(t *testing.T, rig Rig) {
	l := rig.Broker.Log(bucketName)
	first := must(t, l, behind(key("a"), 0))
	must(t, l, behind(key("b"), 0))
	fenced(t, l, behind(key("a"), 0))
	must(t, l, behind(key("a"), first))
	fenced(t, l, behind(key("a"), first))
}

func bucketRead(t *testing.T, rig Rig) {
	l := rig.Broker.Log(bucketName)
	fill(t, l, key("a"), key("b"), key("a"), key("c"))
	wantSequences(t, open(t, l, stream.From{}), 2, 3, 4)
	wantSequences(t, open(t, l, stream.From{}, key("a")), 3)
	r := open(t, l, stream.From{LastPerSubject: true})
	wantSequences(t, r, 2, 3, 4)
	fill(t, l, key("b"))
	wantSequences(t, r, 5)
}

func newest(t *testing.T, rig Rig) {
	l := rig.Broker.Log(bucketName)
	read := func(replace string) (sequences []uint64) {
		t.Helper()
		err := stream.Newest(t.Context(), l, func(m stream.Message) error {
			sequences = append(sequences, m.Sequence)
			if m.Sequence == 2 && replace != "" {
				must(t, l, stream.Append{Subject: replace})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return sequences
	}
	if got := read(""); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	fill(t, l, key("a"), key("b"), key("a"), key("c"))
	// What takes the place of another may come too, and then in its place.
	got := read(key("a"))
	if !slices.Equal(got, []uint64{2, 3, 4}) && !slices.Equal(got, []uint64{2, 4, 5}) && !slices.Equal(got, []uint64{2, 3, 4, 5}) {
		t.Errorf("while 5 replaces 3: %v; want 2, 4 and either or both", got)
	}
	if got := read(""); !slices.Equal(got, []uint64{2, 4, 5}) {
		t.Errorf("then: %v; want 2, 4, 5", got)
	}
	enough := errors.New("enough")
	if err := stream.Newest(t.Context(), l, func(stream.Message) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("ended by its caller: %v; want %v", err, enough)
	}
}

func rollup(t *testing.T, rig Rig) {
	l := rig.Broker.Log("OBJ_SNAPSHOTS")
	const a, b = "$O.SNAPSHOTS.C.a", "$O.SNAPSHOTS.C.b"
	fill(t, l, a, b, a)
	must(t, l, stream.Append{Subject: a, Header: nats.Header{"Nats-Rollup": {"sub"}}, Fence: &stream.Fence{Sequence: 3}})
	fill(t, l, a)
	wantSequences(t, open(t, l, stream.From{}), 2, 4, 5)
	wantSequences(t, open(t, l, stream.From{}, a), 4, 5)
	if s, err := l.State(t.Context()); err != nil || s.First != 2 || s.Messages != 3 {
		t.Errorf("state: %+v, %v; want three messages from 2 on", s, err)
	}
}

func unknownStream(t *testing.T, rig Rig) {
	l := rig.Broker.Log("NOWHERE")
	if l.Name() != "NOWHERE" || rig.Broker.Log("NOWHERE") != l {
		t.Errorf("the log is named %s; want one log, named NOWHERE", l.Name())
	}
	if _, err := l.State(t.Context()); err == nil {
		t.Error("it has a state")
	}
	if _, err := l.Read(t.Context(), stream.From{}); err == nil {
		t.Error("it is read")
	}
	if _, ok, err := l.Get(t.Context(), 1); ok || err == nil {
		t.Errorf("its first message: %v, %v", ok, err)
	}
	if _, ok, err := l.Last(t.Context(), "nowhere"); ok || err == nil {
		t.Errorf("its last message: %v, %v", ok, err)
	}
}

func verifyMark(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	fill(t, l, subject("low", "a"), subject("low", "a"))
	second := stream.MarkOf(getMessage(t, l, 2))
	for name, c := range map[string]struct {
		mark   stream.Mark
		rewind bool
	}{
		"the message it names is there":       {mark: second},
		"it stands before the first message":  {},
		"another message has its sequence":    {mark: stream.Mark{Sequence: 1, StoredAt: second.StoredAt}, rewind: true},
		"the stream ends before the sequence": {mark: stream.Mark{Sequence: 3, StoredAt: second.StoredAt}, rewind: true},
	} {
		var rewind *stream.RewindError
		if err := c.mark.Verify(t.Context(), l); errors.As(err, &rewind) != c.rewind || err != nil && !c.rewind {
			t.Errorf("%s: %v; want a rewind %v", name, err, c.rewind)
		}
	}
}

// What a publisher writes into a header is the reader's to judge: brokers have
// words of their own that look like some of these messages.
func readEveryHeader(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	r := open(t, l, stream.From{})
	headers := []nats.Header{
		{"Status": {"404"}}, {"Status": {"100"}}, {"Status": {"408"}, "Description": {"Request Timeout"}},
		{"Status": {"409"}, "Description": {"Consumer Deleted"}}, {"Status": {"503"}}, {"Status": {""}}, {"Nats-Pin-Id": {"x"}},
	}
	for _, header := range headers {
		must(t, l, stream.Append{Subject: subject("low", "a"), Header: header})
	}
	fill(t, l, subject("low", "a"))
	for _, r := range []*stream.Reader{r, open(t, l, stream.From{})} {
		for i, header := range headers {
			m := next(t, r)
			if diff := cmp.Diff(header, m.Header); diff != "" || m.Sequence != uint64(i+1) || len(m.Data) > 0 {
				t.Errorf("message %d (-want +got):\n%s", m.Sequence, diff)
			}
		}
		wantSequences(t, r, uint64(len(headers)+1))
	}
}
