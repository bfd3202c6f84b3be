package streamsuite

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func appendStores(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	header := nats.Header{"Drawdown-Test": {"a", "b"}}
	for i, a := range []stream.Append{
		{Subject: subject("low", "acme"), Header: header, Data: []byte("first")},
		{Subject: subject("low", "acme"), Header: header, Fence: &stream.Fence{Sequence: 1}, Data: []byte("second")},
		{Subject: subject("low", "other")},
	} {
		want := uint64(i + 1)
		if sequence := must(t, l, a); sequence != want {
			t.Errorf("sequence %d; want %d", sequence, want)
		}
		m := getMessage(t, l, want)
		if m.Subject != a.Subject || string(m.Data) != string(a.Data) || m.Sequence != want || m.Time.IsZero() {
			t.Errorf("stored message: %+v; want %+v", m, a)
		}
		if diff := cmp.Diff(slices.Clone(a.Header["Drawdown-Test"]), m.Header["Drawdown-Test"]); diff != "" {
			t.Errorf("header of message %d (-want +got):\n%s", want, diff)
		}
	}
	if len(header) != 1 {
		t.Errorf("the caller's header became %v", header)
	}
}

func timesRise(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	var before stream.Message
	for range 100 {
		m := getMessage(t, l, must(t, l, stream.Append{Subject: subject("low", "acme")}))
		if !m.Time.After(before.Time) {
			t.Fatalf("message %d at %s after message %d at %s", m.Sequence, m.Time, before.Sequence, before.Time)
		}
		before = m
	}
}

// fenced checks that an append is refused and writes nothing.
func fenced(t *testing.T, l stream.Log, a stream.Append) {
	t.Helper()
	before := end(t, l)
	if sequence, err := l.Append(t.Context(), a); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("append to %s behind %+v: %d, %v; want ErrFenced", a.Subject, *a.Fence, sequence, err)
	}
	if after := end(t, l); after != before {
		t.Errorf("a fenced append moved the end from %d to %d", before, after)
	}
}

func behind(subject string, sequence uint64) stream.Append {
	return stream.Append{Subject: subject, Fence: &stream.Fence{Sequence: sequence}}
}

func behindOther(subject, other string, sequence uint64) stream.Append {
	return stream.Append{Subject: subject, Fence: &stream.Fence{Subject: other, Sequence: sequence}}
}

func fenceOnOneSubject(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	acme, other := subject("low", "acme"), subject("low", "other")
	fenced(t, l, behind(acme, 1)) // there is none yet
	first := must(t, l, behind(acme, 0))
	must(t, l, behind(other, 0)) // another subject's message moves nothing
	fenced(t, l, behind(acme, 0))
	fenced(t, l, behind(acme, first+1))
	second := must(t, l, behind(acme, first))
	fenced(t, l, behind(acme, first))
	must(t, l, behind(acme, second))
}

func fenceOnAnotherSubject(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	acme, other := subject("low", "acme"), subject("low", "other")
	must(t, l, behindOther(acme, other, 0))
	must(t, l, behindOther(acme, other, 0)) // its own subject has moved on, the other has not
	moved := must(t, l, stream.Append{Subject: other})
	fenced(t, l, behindOther(acme, other, 0))
	must(t, l, behindOther(acme, other, moved))
}

func fenceOnWildcard(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	every := subject("*", "acme")
	low := must(t, l, behindOther(subject("low", "acme"), every, 0))
	must(t, l, stream.Append{Subject: subject("low", "other")})
	exhausted := must(t, l, behindOther(subject("exhausted", "acme"), every, low))
	fenced(t, l, behindOther(subject("low", "acme"), every, low))
	fenced(t, l, behindOther(subject("restored", "acme"), every, 0))
	must(t, l, behindOther(subject("restored", "acme"), every, exhausted))
}

func fenceLetsOneThrough(t *testing.T, rig Rig) {
	const writers = 8
	l := rig.Broker.Log(logName)
	var running sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		running.Go(func() { _, errs[i] = l.Append(t.Context(), behind(subject("low", "acme"), 0)) })
	}
	running.Wait()
	written := 0
	for _, err := range errs {
		if err == nil {
			written++
		} else if !errors.Is(err, stream.ErrFenced) {
			t.Errorf("append: %v; want ErrFenced", err)
		}
	}
	if last := end(t, l); written != 1 || last != 1 {
		t.Errorf("%d writers of %d wrote, the stream ends at %d; want one", written, writers, last)
	}
}

func appendAllResults(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	if results := l.AppendAll(t.Context(), nil); len(results) != 0 {
		t.Errorf("appending nothing: %v", results)
	}
	const many = 600
	all := make([]stream.Append, many)
	for i := range all {
		all[i] = stream.Append{Subject: subject("low", "acme"), Data: []byte{byte(i)}}
		if i%3 == 1 {
			all[i] = behind(subject("exhausted", "acme"), 1) // never
		}
	}
	results := l.AppendAll(t.Context(), all)
	if len(results) != many {
		t.Fatalf("%d results of %d appends", len(results), many)
	}
	want := uint64(0)
	for i, r := range results {
		if i%3 == 1 {
			if !errors.Is(r.Err, stream.ErrFenced) {
				t.Fatalf("append %d: %+v; want ErrFenced", i, r)
			}
			continue
		}
		want++
		if r.Err != nil || r.Sequence != want {
			t.Fatalf("append %d: %+v; want sequence %d", i, r, want)
		}
	}
	if m := getMessage(t, l, want); m.Data[0] != byte((many-1)%256) {
		t.Errorf("the last message is that of append %d", m.Data[0])
	}
}

func refusedAppends(t *testing.T, rig Rig) {
	l := rig.Broker.Log(logName)
	for name, a := range map[string]stream.Append{
		"too large":    {Subject: subject("low", "acme"), Data: make([]byte, rig.Broker.MaxPayload()+1)},
		"of no stream": {Subject: strings.Repeat("x", 10)},
	} {
		if sequence, err := l.Append(t.Context(), a); err == nil || errors.Is(err, stream.ErrFenced) {
			t.Errorf("a message %s: %d, %v; want another error", name, sequence, err)
		}
		if r := l.AppendAll(t.Context(), []stream.Append{a, {Subject: subject("low", "a")}}); r[0].Err == nil || r[1].Err != nil {
			t.Errorf("a message %s and one that is not: %+v", name, r)
		}
	}
	if last := end(t, l); last != 2 {
		t.Errorf("the stream ends at %d; want 2", last)
	}
}
