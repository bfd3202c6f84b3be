package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// signalsMax bounds one insert of signals.
const signalsMax = 1000

// signalRows are rows of table signals. Sending one again replaces it by itself,
// so signals need no more than to start behind the newest.
type signalRows struct {
	*columns
	account, kind, threshold, scope, causeKind, causeSource *proto.ColLowCardinality[string]
	sequence, causeSeq, streamSeq                           *proto.ColUInt64
	causeIndex                                              *proto.ColUInt32
	available, held, overage                                *proto.ColInt64
	at, causeAt, recordedAt                                 moments
	causeID                                                 *proto.ColStr
}

func newSignalRows() *signalRows {
	c := newColumns(TableSignals)
	return &signalRows{
		columns: c,
		account: c.word("account"), sequence: c.uint64("sequence"), kind: c.word("kind"),
		threshold: c.word("threshold"), scope: c.word("scope"),
		available: c.int64("available_uc"), held: c.int64("held_uc"), overage: c.int64("overage_uc"), at: c.moment("at"),
		causeSeq: c.uint64("cause_seq"), causeIndex: c.uint32("cause_index"), causeKind: c.word("cause_kind"),
		causeAt: c.moment("cause_at"), causeSource: c.word("cause_source"), causeID: c.text("cause_id"),
		recordedAt: c.moment("recorded_at"), streamSeq: c.uint64("stream_seq"),
	}
}

func (r *signalRows) put(m stream.Message, s events.Signal) {
	r.account.Append(s.Account)
	r.sequence.Append(s.Sequence)
	r.kind.Append(string(s.Kind))
	r.threshold.Append(s.Threshold)
	r.scope.Append(s.Scope)
	r.available.Append(int64(s.Balance.Available))
	r.held.Append(int64(s.Balance.Held))
	r.overage.Append(int64(s.Balance.Overage))
	r.at.put(s.At)
	r.causeSeq.Append(s.Cause.Sequence)
	r.causeIndex.Append(uint32(s.Cause.Index))
	r.causeKind.Append(string(s.Cause.Kind))
	r.causeAt.put(s.Cause.At)
	r.causeSource.Append(s.Cause.Source)
	r.causeID.Append(s.Cause.ID)
	r.recordedAt.put(m.Time)
	r.streamSeq.Append(m.Sequence)
}

func (r *signalRows) row(i int) Row {
	return Row{
		Sequence: r.streamSeq.Row(i), Account: r.account.Row(i), Kind: r.kind.Row(i), Available: events.Credits(r.available.Row(i)),
	}
}

// projectSignals copies SIGNALS, from behind the newest signal in ClickHouse.
func (p *Projection) projectSignals(ctx context.Context, generation uint64) error {
	signals := p.config.Broker.Log(events.StreamSignals)
	newest, err := p.store.Newest(ctx, TableSignals)
	if err != nil {
		return err
	}
	if err := verifyRow(ctx, signals, newest.Newest); err != nil {
		return fmt.Errorf("compare ClickHouse with stream %s: %w", events.StreamSignals, err)
	}
	reader, err := signals.Read(ctx, stream.From{Sequence: newest.Last + 1})
	if err != nil {
		return err
	}
	defer reader.Close()
	p.status.written(events.StreamSignals, newest.Last)
	rows := newSignalRows()
	for {
		taken, err := p.fillSignals(ctx, reader, rows)
		if err != nil {
			return err
		}
		block := Block{Table: TableSignals, Token: taken.token(events.StreamSignals), Span: taken, Generation: generation, content: rows}
		if err := p.retry(ctx, "insert signals", func(attempt int) error {
			if attempt > 0 {
				if err := p.unchanged(ctx, generation); err != nil {
					return err
				}
			}
			return p.sendSignals(ctx, block)
		}); err != nil {
			return err
		}
		p.status.rows(TableSignals, rows.rows())
		p.status.written(events.StreamSignals, taken.Last)
		rows.reset()
	}
}

// unchanged returns errOvertaken when the tables are, or are about to be,
// others than those that signals were written to.
func (p *Projection) unchanged(ctx context.Context, generation uint64) error {
	now := newAgreement(p.config.Broker, p.key)
	if err := now.read(ctx); err != nil {
		return err
	}
	if now.manifest.Generation != generation || now.manifest.Swap.Generation > 0 {
		return errOvertaken
	}
	return nil
}

// fillSignals waits for a signal and takes those that are there with it. A
// message that is no signal is left out.
func (p *Projection) fillSignals(ctx context.Context, reader *stream.Reader, rows *signalRows) (Span, error) {
	var taken Span
	messages, err := reader.Batch(ctx, signalsMax)
	if err != nil {
		return taken, err
	}
	taken.First, taken.Last = messages[0].Sequence, messages[len(messages)-1].Sequence
	for _, m := range messages {
		p.status.seen(events.StreamSignals, m.Sequence+m.Pending)
		signal, err := events.DecodeSignal(m.Data)
		if err != nil {
			p.log.WarnContext(ctx, "a message of the signals stream is no signal", "seq", m.Sequence, "err", err)
			continue
		}
		rows.put(m, signal)
	}
	return taken, nil
}

func (p *Projection) sendSignals(ctx context.Context, b Block) error {
	if b.Len() == 0 {
		return nil
	}
	if err := p.store.Insert(ctx, b); err != nil {
		return fmt.Errorf("insert %d signals: %w", b.Len(), err)
	}
	return nil
}
