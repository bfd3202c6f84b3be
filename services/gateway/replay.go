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
	r := &replay{Gateway: g, to: &out.Body}
	if len(body.IDs) > 0 {
		err = r.byID(ctx, body.IDs)
	} else {
		err = r.where(ctx, body)
	}
	if err = errors.Join(err, r.flush(ctx)); err != nil {
		g.Logger.Warn("replay of dead letters not finished", "replayed", out.Body.Replayed, "err", err)
		return nil, unavailable("the replay stopped after %d; the others are kept. Repeating the request is safe", out.Body.Replayed)
	}
	return out, nil
}

// replay is one request's.
type replay struct {
	*Gateway
	to  *Replayed
	old []oldLetter // to be looked for in the ledger first
}

func (r *replay) byID(ctx context.Context, ids []uint64) error {
	for _, id := range ids {
		d, err := r.deadLetter(ctx, id)
		var p *Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			r.to.NotFound = append(r.to.NotFound, id)
			continue
		}
		if err != nil {
			return err
		}
		if err := r.add(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// where replays those with a reason, or all, of the dead letters that there are
// now: one that comes back meanwhile is not replayed again.
func (r *replay) where(ctx context.Context, body replayBody) error {
	var failed error
	last, enough := uint64(0), r.Now().Add(replayTime)
	more, err := r.scanDeadLetters(ctx, scan{from: body.After + 1, limit: math.MaxInt}, func(d events.DeadLetter, _ int) bool {
		if last = d.ID; body.All || d.Reason == body.Reason {
			if failed = r.add(ctx, d); failed != nil {
				return false
			}
		}
		return r.Now().Before(enough)
	})
	if more {
		r.to.Next = last
	}
	return errors.Join(failed, err)
}

// add publishes a dead letter as it first came and deletes it once that is
// stored. A crash in between leaves both, and the usage event counts once.
func (r *replay) add(ctx context.Context, d events.DeadLetter) error {
	message, err := original(d)
	if err != nil {
		return err
	}
	if u, old := r.tooOld(message); old {
		return r.keepOld(ctx, oldLetter{id: d.ID, usage: u})
	}
	return r.publish(ctx, d.ID, message)
}

func (r *replay) publish(ctx context.Context, id uint64, message *nats.Msg) error {
	bounded, cancel := r.bounded(ctx)
	defer cancel()
	if _, err := r.JetStream.PublishMsg(bounded, message); err != nil {
		return fmt.Errorf("publish dead letter %d on %s: %w", id, message.Subject, err)
	}
	return r.delete(ctx, id)
}

func (r *replay) delete(ctx context.Context, id uint64) error {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	err := r.Streams.DeadLetter.DeleteMsg(ctx, id)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("delete dead letter %d: %w", id, err)
	}
	r.to.Replayed++
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
