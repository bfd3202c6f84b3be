package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	replayIDsMax = 1000
	// replayTime is how long one request replays; the rest is for the next.
	replayTime = 40 * time.Second
)

type replayInput struct {
	Document
}

// replayBody says which dead letters to replay: by ids, by reason or all.
type replayBody struct {
	IDs    []uint64 `json:"ids,omitempty" maxItems:"1000"`
	Reason string   `json:"reason,omitzero"`
	All    bool     `json:"all,omitzero"`
	After  uint64   `json:"after,omitzero" doc:"Go on behind this dead letter: next of the answer before."`
}

type replayOutput struct {
	Body Replayed
}

// Replayed counts what a replay did.
type Replayed struct {
	Replayed int      `json:"replayed" doc:"Stored in USAGE again and deleted from the dead letters."`
	NotFound []uint64 `json:"not_found,omitempty" doc:"Of the ids, those that are no dead letters (any more)."`
	Next     uint64   `json:"next,omitzero" doc:"Time was up: send the same with this as after."`
}

func (g *Gateway) replayDeadLetters(ctx context.Context, in *replayInput) (*replayOutput, error) {
	body, err := decodeJSON[replayBody](in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	chosen := 0
	for _, given := range []bool{len(body.IDs) > 0, body.Reason != "", body.All} {
		if given {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return nil, invalid(`the request is not valid`, Fault{Code: "invalid", Detail: `expected one of {"ids":[…]}, {"reason":"unratable"} and {"all":true}`})
	case len(body.IDs) > replayIDsMax:
		return nil, invalid("the request is not valid", Fault{Path: "/ids", Code: "invalid",
			Detail: fmt.Sprintf("found %d ids; expected at most %d", len(body.IDs), replayIDsMax)})
	}
	if err := g.online(); err != nil {
		return nil, err
	}
	out := &replayOutput{}
	if len(body.IDs) > 0 {
		err = g.replayByID(ctx, body.IDs, &out.Body)
	} else {
		err = g.replayWhere(ctx, body, &out.Body)
	}
	if err != nil {
		g.Logger.Warn("replay of dead letters not finished", "replayed", out.Body.Replayed, "err", err)
		return nil, unavailable("the replay stopped after %d; the others are kept. Repeating the request is safe", out.Body.Replayed)
	}
	return out, nil
}

func (g *Gateway) replayByID(ctx context.Context, ids []uint64, to *Replayed) error {
	for _, id := range ids {
		d, err := g.deadLetter(ctx, id)
		var p *Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			to.NotFound = append(to.NotFound, id)
			continue
		}
		if err != nil {
			return err
		}
		if err := g.replay(ctx, d); err != nil {
			return err
		}
		to.Replayed++
	}
	return nil
}

// replayWhere replays those with a reason, or all, of the dead letters that
// there are now: one that comes back meanwhile is not replayed again.
func (g *Gateway) replayWhere(ctx context.Context, body replayBody, to *Replayed) error {
	var failed error
	last, enough := uint64(0), g.now().Add(replayTime)
	more, err := g.scanDeadLetters(ctx, scan{from: body.After + 1, limit: math.MaxInt}, func(d events.DeadLetter, _ int) bool {
		if last = d.ID; body.All || d.Reason == body.Reason {
			if failed = g.replay(ctx, d); failed != nil {
				return false
			}
			to.Replayed++
		}
		return g.now().Before(enough)
	})
	if more {
		to.Next = last
	}
	return errors.Join(failed, err)
}

// replay publishes a dead letter as it first came and deletes it once that is
// stored. A crash in between leaves both, and the usage event counts once.
func (g *Gateway) replay(ctx context.Context, d events.DeadLetter) error {
	message, err := original(d)
	if err != nil {
		return err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	if _, err := g.JetStream.PublishMsg(ctx, message); err != nil {
		return fmt.Errorf("publish dead letter %d on %s: %w", d.ID, message.Subject, err)
	}
	err = g.Streams.DeadLetter.DeleteMsg(ctx, d.ID)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("delete dead letter %d: %w", d.ID, err)
	}
	return nil
}

// original is the message that brought a dead letter: its bytes and headers on
// the public subject it came by. An event of a batch goes alone, to its own
// account, or where it names none as a batch of one; a message that could not
// be taken apart goes as it was.
func original(d events.DeadLetter) (*nats.Msg, error) {
	account, batch, err := events.ParseUsageSubject(d.Subject)
	if err != nil {
		return nil, fmt.Errorf("replay dead letter %d: %w", d.ID, err)
	}
	message := &nats.Msg{Header: nats.Header{}, Data: d.Body}
	for name, values := range d.Header {
		// NATS acts on its own headers: one could make it take the message for
		// a duplicate and drop it.
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			message.Header[name] = values
		}
	}
	if !batch {
		message.Subject = events.UsageSubject(account)
		return message, nil
	}
	name, contentType := contentTypeOf(message.Header)
	alone := bytes.HasPrefix(bytes.TrimLeft(d.Body, " \t\r\n"), []byte("{")) &&
		(contentType == "" || strings.HasPrefix(contentType, "application/cloudevents"))
	own := events.DecodeEvent(d.Body).Usage.Account
	switch {
	case !alone:
		message.Subject = d.Subject
	case events.ValidAccount(own):
		message.Subject = events.UsageSubject(own)
		message.Header[name] = []string{events.ContentTypeEvent}
	default:
		message.Subject = d.Subject
		message.Header[name] = []string{events.ContentTypeBatch}
		message.Data = slices.Concat([]byte{'['}, d.Body, []byte{']'})
	}
	return message, nil
}

// contentTypeOf finds the content type, however its name is written.
func contentTypeOf(header nats.Header) (name, contentType string) {
	for name, values := range header {
		if strings.EqualFold(name, events.HeaderContentType) && len(values) > 0 {
			return name, values[0]
		}
	}
	return events.HeaderContentType, ""
}
