package clickhouse

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestAWriterNoticesWhatHappensBehindItsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 60)
	w.write(3)
	ledger := w.broker.Log(events.StreamLedger)
	m, _, err := ledger.Get(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	other := stream.MarkOf(m)
	other.StoredAt = other.StoredAt.Add(time.Nanosecond) // as when its sequence was given out again
	writerAt := func(mark stream.Mark) *writer {
		a := newAgreement(w.broker, keyLive)
		if err := a.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.propose(t.Context(), manifest{Format: manifestFormat, Newest: agreed{Span: Span{1, 3}, Mark: mark}}); err != nil {
			t.Fatal(err)
		}
		return &writer{ledger: ledger, manifest: a}
	}
	var rewind *stream.RewindError
	if err := writerAt(other).verify(t.Context()); !errors.As(err, &rewind) {
		t.Errorf("LEDGER holds another message than was sent: %v", err)
	}
	late := writerAt(stream.MarkOf(m))
	if err := late.verify(t.Context()); err != nil {
		t.Errorf("nothing has happened: %v", err)
	}
	b := newBatch()
	b.span, b.mark = Span{2, 3}, other
	if err := late.agree(t.Context(), b); !errors.As(err, &rewind) || !hopeless(err) {
		t.Errorf("a batch ends with a message that LEDGER lost: %v", err)
	}
	late.asked = time.Now().Add(-freshFor)
	if err := late.fresh(t.Context()); err != nil {
		t.Errorf("a batch that was agreed on long ago, and is the newest still: %v", err)
	}
	writerAt(stream.MarkOf(m))
	late.asked = time.Now().Add(-freshFor)
	if err := late.fresh(t.Context()); !errors.Is(err, errOvertaken) {
		t.Errorf("a batch that was agreed on long ago, and is not the newest: %v", err)
	}
}

func TestSignalsThatTheStreamDoesNotHoldStopTheProjection(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	first := newWorld(t, 61)
	first.signal("a", 1, events.SignalLow)
	p := first.projection(dsn, 10)
	stop := run(t, p)
	await(t, "the signal", func() bool { got, _ := p.status.progress(events.StreamSignals); return got == 1 })
	stop()
	owner, err := p.store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.store.Close()
	second := newWorld(t, 61) // its SIGNALS has given sequence 1 out again
	second.signal("b", 1, events.SignalLow)
	if err := newAgreement(second.broker, keyLive).propose(t.Context(), manifest{Format: manifestFormat, Installation: installation, Database: owner.Database}); err != nil {
		t.Fatal(err)
	}
	if err := second.mustStop(dsn); !strings.Contains(err, "message 1 of stream SIGNALS was stored at") {
		t.Errorf("stops with %q", err)
	}
}

// A LEDGER that lost its end may grow beyond what was sent before anybody looks.
func TestNoBatchFollowsOneThatTheLedgerLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 52)
	w.write(3)
	log := w.broker.Log(events.StreamLedger)
	mark := func(sequence uint64) stream.Mark {
		m, ok, err := log.Get(t.Context(), sequence)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return stream.MarkOf(m)
	}
	lost := mark(2)
	lost.StoredAt = lost.StoredAt.Add(-time.Second)
	for name, c := range map[string]struct {
		sent    stream.Mark
		refused bool
	}{
		"what the ledger holds": {sent: mark(2)},
		"what it lost":          {sent: lost, refused: true},
	} {
		a := newAgreement(w.broker, "test_"+strings.ReplaceAll(name, " ", "_"))
		if err := a.propose(t.Context(), manifest{Format: manifestFormat, Newest: agreed{Span: Span{1, 2}, Mark: c.sent}}); err != nil {
			t.Fatal(err)
		}
		b := newBatch()
		b.span, b.mark = Span{3, 3}, mark(3)
		err := (&writer{ledger: log, manifest: a}).agree(t.Context(), b)
		var rewound *stream.RewindError
		if errors.As(err, &rewound) != c.refused || !c.refused && err != nil {
			t.Errorf("a batch behind %s: %v; want it refused: %t", name, err, c.refused)
		}
	}
}
