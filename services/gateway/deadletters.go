package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

// scanMax bounds the dead letters one request looks at.
const scanMax = 10_000

type listDeadLettersInput struct {
	Cursor uint64 `query:"cursor" doc:"As next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Reason string `query:"reason" pattern:"^[a-z_]{1,32}$" patternDescription:"a reason, such as unratable" doc:"Only with this reason."`
}

type deadLetterPath struct {
	ID uint64 `path:"id" minimum:"1"`
}

// DeadLetterSummary is a dead letter without its body.
type DeadLetterSummary struct {
	ID       uint64    `json:"id"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Subject  string    `json:"subject" doc:"The NATS subject it was stored under."`
	Sequence uint64    `json:"usage_sequence"`
	Index    int       `json:"usage_index,omitzero"`
	StoredAt time.Time `json:"stored_at"`
	Size     int       `json:"size" doc:"Of the body, in bytes."`
}

// DeadLetter is a usage event that could not be rated, as it was received.
type DeadLetter struct {
	DeadLetterSummary
	Header map[string][]string `json:"header,omitempty"`
	Body   []byte              `json:"body_base64"`
	Text   string              `json:"text,omitzero" doc:"The body, if it is UTF-8."`
}

type deadLettersOutput struct {
	Body DeadLetterPage
}

// DeadLetterPage lists dead letters, oldest first.
type DeadLetterPage struct {
	DeadLetters []DeadLetterSummary `json:"deadletters" nullable:"false"`
	Next        uint64              `json:"next,omitzero" doc:"The cursor of the next page; absent on the last."`
}

type deadLetterOutput struct {
	Body DeadLetter
}

func (g *Gateway) deadLetterRoutes() {
	register(g, huma.Operation{
		OperationID: "list-deadletters", Method: http.MethodGet, Path: "/v1/deadletters", Tags: []string{"Dead letters"},
		Summary:     "List usage events that could not be rated",
		Description: "A page may hold fewer than limit although there are more: follow next.",
	}, g.listDeadLetters)
	register(g, huma.Operation{
		OperationID: "get-deadletter", Method: http.MethodGet, Path: "/v1/deadletters/{id}", Tags: []string{"Dead letters"},
		Summary: "Read a dead letter, byte for byte",
	}, g.getDeadLetter)
	register(g, huma.Operation{
		OperationID: "replay-deadletters", Method: http.MethodPost, Path: "/v1/deadletters/replay", Tags: []string{"Dead letters"},
		Summary: "Publish dead letters again, after what was wrong is put right",
		Description: "By ids, by reason, or all. Each is deleted once its usage event is stored again; one that still cannot be rated comes back as a new dead letter. " +
			"Many take several requests: while an answer has next, send the same with it as after.",
		RequestBody: g.body(map[string]any{"application/json": replayBody{}}),
	}, g.replayDeadLetters)
}

func summary(d events.DeadLetter, size int) DeadLetterSummary {
	return DeadLetterSummary{
		ID: d.ID, Reason: d.Reason, Detail: d.Detail, Subject: d.Subject,
		Sequence: d.Sequence, Index: d.Index, StoredAt: d.StoredAt, Size: size,
	}
}

func (g *Gateway) listDeadLetters(ctx context.Context, in *listDeadLettersInput) (*deadLettersOutput, error) {
	out := &deadLettersOutput{Body: DeadLetterPage{DeadLetters: []DeadLetterSummary{}}}
	last := uint64(0)
	more, err := g.scanDeadLetters(ctx, scan{from: in.Cursor + 1, limit: scanMax, headersOnly: true}, func(d events.DeadLetter, size int) bool {
		last = d.ID
		if in.Reason == "" || d.Reason == in.Reason {
			out.Body.DeadLetters = append(out.Body.DeadLetters, summary(d, size))
		}
		return len(out.Body.DeadLetters) < in.Limit
	})
	if more {
		out.Body.Next = last
	}
	return out, err
}

func (g *Gateway) getDeadLetter(ctx context.Context, in *deadLetterPath) (*deadLetterOutput, error) {
	d, err := g.deadLetter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &deadLetterOutput{Body: DeadLetter{DeadLetterSummary: summary(d, len(d.Body)), Header: d.Header, Body: d.Body}}
	if utf8.Valid(d.Body) {
		out.Body.Text = string(d.Body)
	}
	return out, nil
}

func (g *Gateway) deadLetter(ctx context.Context, id uint64) (events.DeadLetter, error) {
	if err := g.online(); err != nil {
		return events.DeadLetter{}, err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	raw, err := g.Streams.DeadLetter.GetMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return events.DeadLetter{}, notFound("there is no dead letter %d; it may have been replayed", id)
	}
	if err != nil {
		return events.DeadLetter{}, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	return events.ParseDeadLetter(raw.Header, raw.Data, raw.Sequence)
}

// scan says which dead letters to look at.
type scan struct {
	from        uint64
	limit       int
	headersOnly bool
}

const scanBatch = 100

// scanDeadLetters calls visit with dead letters in order until it returns
// false. It reports whether there are more behind the last one visited. Those
// that nobody of ours wrote are passed over.
func (g *Gateway) scanDeadLetters(ctx context.Context, s scan, visit func(d events.DeadLetter, size int) bool) (more bool, err error) {
	if err := g.online(); err != nil {
		return false, err
	}
	consumer, err := g.Streams.DeadLetter.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(s.from, 1), HeadersOnly: s.headersOnly,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return false, fmt.Errorf("look through dead letters from %d: %w", s.from, err)
	}
	defer g.dropConsumer(ctx, consumer.CachedInfo().Name)
	pending := int(min(consumer.CachedInfo().NumPending, uint64(s.limit)+1))
	for seen := 0; pending > 0; {
		batch, err := consumer.Fetch(min(scanBatch, pending), jetstream.FetchMaxWait(natsTimeout/2))
		if err != nil {
			return false, fmt.Errorf("fetch dead letters: %w", err)
		}
		got, wanted := 0, true
		for m := range batch.Messages() {
			got++
			if !wanted || seen == s.limit {
				more = true
				continue // the rest of the batch is left for the next page
			}
			seen++
			wanted = g.visit(m, visit)
		}
		pending -= got
		switch {
		case batch.Error() != nil:
			return false, fmt.Errorf("fetch dead letters: %w", batch.Error())
		case !wanted, seen == s.limit, got == 0: // none came: deleted meanwhile
			return more || pending > 0 && got > 0, nil
		}
	}
	return more, nil
}

func (g *Gateway) visit(m jetstream.Msg, visit func(d events.DeadLetter, size int) bool) bool {
	metadata, err := m.Metadata()
	if err != nil {
		return true
	}
	d, err := events.ParseDeadLetter(m.Headers(), m.Data(), metadata.Sequence.Stream)
	if err != nil {
		g.Logger.Warn("dead letter not readable", "seq", metadata.Sequence.Stream, "err", err)
		return true
	}
	size := len(m.Data())
	if text := m.Headers().Get("Nats-Msg-Size"); text != "" {
		size, _ = strconv.Atoi(text) // set by the server, of a message without body
	}
	return visit(d, size)
}

func (g *Gateway) dropConsumer(ctx context.Context, name string) {
	ctx, cancel := g.bounded(context.WithoutCancel(ctx))
	defer cancel()
	if err := g.Streams.DeadLetter.DeleteConsumer(ctx, name); err != nil {
		g.Logger.Warn("consumer not deleted; the server ends it", "err", err)
	}
}
