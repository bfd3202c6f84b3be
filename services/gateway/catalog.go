package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/internal/catalog"
)

// lookup reads one value of a bucket; ok is false when there is none.
func lookup[T any](ctx context.Context, g *Gateway, bucket jetstream.KeyValue, key string) (value T, ok bool, err error) {
	if err := g.online(); err != nil {
		return value, false, err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return value, false, nil
	}
	if err != nil {
		return value, false, fmt.Errorf("read %s of bucket %s: %w", key, bucket.Bucket(), err)
	}
	if err := json.Unmarshal(entry.Value(), &value); err != nil {
		return value, false, fmt.Errorf("decode %s of bucket %s: %w", key, bucket.Bucket(), err)
	}
	return value, true, nil
}

// keys calls visit with the keys of a bucket that match filter, in no order.
func (g *Gateway) keys(ctx context.Context, bucket jetstream.KeyValue, filter string, visit func(key string)) error {
	if err := g.online(); err != nil {
		return err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	lister, err := bucket.ListKeysFiltered(ctx, filter)
	if err != nil {
		return fmt.Errorf("list keys of bucket %s: %w", bucket.Bucket(), err)
	}
	for key := range lister.Keys() {
		visit(key)
	}
	if ctx.Err() != nil { // the list may end too early
		return fmt.Errorf("list keys of bucket %s: %w", bucket.Bucket(), ctx.Err())
	}
	return nil
}

// page collects the smallest names behind a cursor without keeping all.
type page struct {
	after string
	limit int
	names []string
}

func (p *page) add(name string) {
	if name <= p.after {
		return
	}
	if p.names = append(p.names, name); len(p.names) > 4*p.limit+64 {
		p.shrink()
	}
}

func (p *page) shrink() {
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	p.names = p.names[:min(len(p.names), p.limit+1)]
}

// result returns the page and the cursor of the next, empty at the end.
func (p *page) result() (names []string, next string) {
	p.shrink()
	if len(p.names) <= p.limit {
		return p.names, ""
	}
	return p.names[:p.limit], p.names[p.limit-1]
}

// parseDocument reads a plan, rate card or account as people write them.
func parseDocument[T any](contentType, name string, body []byte, parse func(string, []byte) (T, error)) (T, error) {
	var none T
	if err := checkType(contentType, documentTypes...); err != nil {
		return none, err
	}
	if len(body) > catalog.MaxDocumentBytes {
		return none, newProblem(http.StatusRequestEntityTooLarge, "found %d bytes; expected at most %d", len(body), catalog.MaxDocumentBytes)
	}
	parsed, err := parse(name, body)
	var wrong *catalog.Error
	if errors.As(err, &wrong) {
		p := invalid("the document is not valid")
		for _, fault := range wrong.Problems {
			p.Errors = append(p.Errors, Fault{Line: fault.Line, Column: fault.Column, Path: fault.Path, Code: "invalid", Detail: fault.Detail})
		}
		return none, p
	}
	if err != nil {
		return none, fmt.Errorf("parse %s: %w", name, err)
	}
	return parsed, nil
}

// sameName refuses a document whose own name is not the path's.
func sameName(pointer, found, path string) error {
	if found == path {
		return nil
	}
	return invalid("the document and the path name different things",
		Fault{Path: pointer, Code: "invalid", Detail: fmt.Sprintf("found %q; expected %q, as in the path", clip(found), path)})
}

// after returns what follows prefix in a key.
func after(key, prefix string) string { return strings.TrimPrefix(key, prefix) }
