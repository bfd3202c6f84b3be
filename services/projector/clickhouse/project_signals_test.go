package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// signal publishes a signal.
func (w *world) signal(account string, sequence uint64, kind events.SignalKind) {
	w.t.Helper()
	at := time.Date(2026, 6, 7, 8, 9, 10, 11000, time.UTC)
	header, body, err := events.EncodeSignal(events.Signal{
		Account: account, Kind: kind, Sequence: sequence, Threshold: "20%", Scope: events.ScopeAccount, At: at,
		Balance: events.SignalBalance{Available: -5, Held: 6, Overage: 7},
		Cause:   events.Cause{Sequence: 8, Index: 9, Kind: events.EntryDebit, At: at, Source: "/s", ID: "e"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.PublishMsg(w.t.Context(), &nats.Msg{Subject: events.SignalSubject(kind, account), Header: header, Data: body}); err != nil {
		w.t.Fatal(err)
	}
}

func TestEachSignalIsOneRowAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 20), enginetest.Database(t)
	want := map[string]string{}
	publish := func(account string, sequence uint64, kind events.SignalKind) {
		w.signal(account, sequence, kind)
		want[fmt.Sprint(account, " ", sequence)] = string(kind) + " 20% account -5 6 7 8 9 debit /s e"
	}
	project := func(through uint64) {
		p := w.projection(dsn, 10)
		stop := run(t, p)
		await(t, "the signals", func() bool { got, _ := p.status.progress(events.StreamSignals); return got >= through })
		stop()
	}
	publish("a", 1, events.SignalLow)
	publish("a", 2, events.SignalExhausted)
	project(2)
	if _, err := w.js.Publish(t.Context(), events.SignalSubject(events.SignalLow, "a"), []byte("{}")); err != nil {
		t.Fatal(err) // is left out
	}
	publish("b", 1, events.SignalRestored)
	project(4)
	conn := enginetest.Connect(t, dsn)
	exec(t, conn, "INSERT INTO signals SELECT * FROM signals WHERE account = 'b' SETTINGS insert_deduplicate = 0") // as a resend would
	got := readTexts(t, conn, `SELECT concat(account, ' ', toString(sequence)), concat(kind, ' ', threshold, ' ', scope, ' ', toString(available_uc), ' ',
		toString(held_uc), ' ', toString(overage_uc), ' ', toString(cause_seq), ' ', toString(cause_index), ' ', cause_kind, ' ', cause_source, ' ', cause_id)
		FROM signals FINAL`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}
