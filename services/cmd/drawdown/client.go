package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

// client calls the gateway.
type client struct {
	base string
	key  string
	http *http.Client
	tell bool // ask for progress
}

// client returns a client of the running installation: its address from the
// settings, or else from the data folder, and its key likewise.
func (a *app) client() (*client, error) {
	base, key := a.gatewayURL(), a.cfg.APIKey
	if key == "" {
		stored, err := a.dataDir().ReadAPIKey()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the API key of the data folder: %w", err)
		}
		key = stored
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usageError("the gateway's address is %q: expected http://host:port in DRAWDOWN_URL or --url", base)
	}
	return &client{base: strings.TrimRight(base, "/"), key: key, http: &http.Client{Timeout: time.Minute}}, nil
}

// gatewayURL is where the gateway is: what the settings say, or else where the
// installation in the data folder listens, or else the default address.
func (a *app) gatewayURL() string {
	if a.cfg.URL != "" {
		return a.cfg.URL
	}
	if endpoints, err := a.dataDir().ReadEndpoints(); err == nil && endpoints.HTTP != "" {
		return endpoints.HTTP
	}
	return "http://127.0.0.1:8080"
}

// problem is an RFC 9457 answer.
type problem struct {
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
	Errors   []json.RawMessage `json:"errors"`
	ResetsAt time.Time         `json:"resets_at"` // of status 402, as is TopUp
	TopUp    string            `json:"top_up"`

	body []byte // as it came
}

// Error says what the gateway said, with every fault on a line of its own.
func (p *problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if !p.ResetsAt.IsZero() {
		text += ", until " + when(p.ResetsAt)
	}
	if p.TopUp == "pending" {
		text += "; a top-up is pending"
	}
	for _, fault := range p.Errors {
		if line := faultLine(fault); !strings.HasSuffix(p.Detail, line) { // one fault is often all there is to say
			text += "\n  " + line
		}
	}
	return text
}

// faultLine writes one element of a problem's errors: place first.
func faultLine(fault json.RawMessage) string {
	var f struct {
		Index         *int
		Line          int
		Column        int
		Path, ID      string
		Location      string
		Detail        string
		Message, Code string
	}
	if json.Unmarshal(fault, &f) != nil {
		return string(fault)
	}
	var place []string
	if f.Index != nil {
		place = append(place, fmt.Sprintf("event %d", *f.Index))
	}
	if f.Line > 0 {
		place = append(place, fmt.Sprintf("line %d:%d", f.Line, f.Column))
	}
	for _, part := range []string{f.Path, f.Location} {
		if part != "" {
			place = append(place, part)
		}
	}
	if f.Detail == "" {
		f.Detail = f.Message
	}
	return strings.Join(append(place, f.Detail), ": ")
}

// call sends a request and decodes the answer into result, unless that is nil.
// It returns the body as it came.
func (c *client) call(ctx context.Context, method, path, contentType string, body []byte, result any) ([]byte, error) {
	answer, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	const answerMax = 64 << 20
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return nil, asProblem(answer, text)
	}
	if result == nil {
		return text, nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return nil, fmt.Errorf("decode the answer of %s %s: %w", method, path, err)
	}
	return text, nil
}

func (c *client) send(ctx context.Context, method, path, contentType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.tell {
		request.Header.Set(gateway.HeaderProgress, "yes")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from the gateway at %s; start it with drawdown up, or set DRAWDOWN_URL: %w", c.base, err)
	}
	return answer, nil
}

// asProblem reads an answer that refuses.
func asProblem(answer *http.Response, text []byte) error {
	p := &problem{}
	if json.Unmarshal(text, p) != nil || p.Title == "" && p.Detail == "" {
		return fmt.Errorf("%s %s: %s", answer.Request.Method, answer.Request.URL.Path, answer.Status)
	}
	p.Status, p.body = answer.StatusCode, text
	if p.Status == http.StatusUnauthorized {
		p.Detail = strings.TrimSuffix(p.Detail, ".") + "; set DRAWDOWN_API_KEY, or name the data folder with --data"
	}
	return p
}

// stream opens a stream of server-sent events behind the one with id last.
func (c *client) stream(ctx context.Context, path, last string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request %s: %w", path, err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from the gateway at %s; start it with drawdown up, or set DRAWDOWN_URL: %w", c.base, err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		return nil, errors.Join(asProblem(answer, text), err, answer.Body.Close())
	}
	return answer, nil
}
