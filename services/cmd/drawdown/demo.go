package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

const (
	demoAccount = "demo"
	demoGrant   = "100"
	demoTopUp   = "50"
	demoCallers = 4
	demoPause   = 2 * time.Millisecond // of a caller between two calls
	demoPrompt  = "What does a prepaid credit cost me when nobody tells me that it is gone?"
	demoBound   = 60 * time.Second
	// demoCallsMax ends a demo whose calls cost nothing.
	demoCallsMax = 200_000
)

//go:embed demo/ratecard.yaml
var demoRateCard []byte

//go:embed demo/plan.yaml
var demoPlan []byte

// demo lets an API serve real calls until the account that makes them runs
// out, tops it up and says how long each signal took.
func (a *app) demo(ctx context.Context, w *world, in *installation) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoBound, errors.New("the demo did not end in a minute; see the log"))
	defer cancel()
	client := &client{base: "http://" + in.listener.Addr().String(), key: in.key, http: &http.Client{Timeout: 10 * time.Second}}
	run := strconv.FormatInt(time.Now().Unix(), 36)
	if err := setUpDemo(ctx, client, run); err != nil {
		return fmt.Errorf("set the demo up: %w", err)
	}
	signals := make(chan heard, 64)
	subscription, err := w.nc.Subscribe("credits.*."+demoAccount, func(m *nats.Msg) { signals <- heard{at: time.Now(), data: m.Data} })
	if err != nil {
		return fmt.Errorf("subscribe to the demo's signals: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection goes on
	api, err := startDemoAPI(w.nc, run)
	if err != nil {
		return err
	}
	defer api.close()
	a.progress("\nDemo: %d callers use POST http://%s/v1/chat until account %q has drawn its %s credits down.", demoCallers, api.address, demoAccount, demoGrant)
	exhausted, err := api.drawDown(ctx, signals, func(s events.Signal, took time.Duration) {
		a.progress("  %-10s %-6s available %-9s %s after the call that caused it", s.Kind, s.Threshold, s.Balance.Available, took.Round(10*time.Microsecond))
	})
	if err != nil {
		return err
	}
	a.progress("             %d calls were made, each charged once.", api.calls.Load())
	return a.demoTopUp(ctx, client, run, exhausted, signals)
}

// heard is a signal as it arrived.
type heard struct {
	at   time.Time
	data []byte
}

// setUpDemo applies the demo's rate card, if there is none yet, its plan,
// account and grant.
func setUpDemo(ctx context.Context, c *client, run string) error {
	var missing *problem
	_, err := c.call(ctx, http.MethodGet, "/v1/ratecards/"+events.DefaultCard, "", nil, nil)
	if errors.As(err, &missing) && missing.Status == http.StatusNotFound {
		_, err = c.call(ctx, http.MethodPut, "/v1/ratecards/"+events.DefaultCard, typeYAML, demoRateCard, nil)
	}
	if err != nil {
		return err
	}
	if _, err := c.call(ctx, http.MethodPut, "/v1/plans/"+demoAccount, typeYAML, demoPlan, nil); err != nil {
		return err
	}
	if _, err := c.call(ctx, http.MethodPut, "/v1/accounts/"+demoAccount, typeJSON, []byte(`{"plan":"demo"}`), nil); err != nil {
		return err
	}
	return demoCredit(ctx, c, "demo-"+run, demoGrant, events.SourcePrepaid)
}

func demoCredit(ctx context.Context, c *client, id, amount string, source events.GrantSource) error {
	body, err := json.Marshal(map[string]any{"id": id, "amount": amount, "source": source})
	if err != nil {
		return fmt.Errorf("encode the grant: %w", err)
	}
	_, err = c.call(ctx, http.MethodPost, "/v1/accounts/"+demoAccount+"/grants", typeJSON, body, nil)
	return err
}

// demoAPI is a small API on loopback that meters its calls.
type demoAPI struct {
	address string
	run     string
	server  *http.Server
	emitter *emit.Emitter
	calls   atomic.Int64
	emitted sync.Map // event id → time.Time
}

func startDemoAPI(nc *nats.Conn, run string) (*demoAPI, error) {
	emitter, err := emit.New(nc, emit.Options{})
	if err != nil {
		return nil, fmt.Errorf("build the demo's emitter: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the demo: %w", err), emitter.Close(context.Background()))
	}
	api := &demoAPI{address: listener.Addr().String(), run: run, emitter: emitter}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat", api.chat)
	api.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = api.server.Serve(listener) }() // ends with close
	return api, nil
}

func (d *demoAPI) close() {
	_ = d.server.Close() // its callers are gone
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = d.emitter.Close(bounded) // what was emitted was acknowledged
}

// chat answers one call and emits what it used.
func (d *demoAPI) chat(rw http.ResponseWriter, request *http.Request) {
	prompt, err := io.ReadAll(http.MaxBytesReader(rw, request.Body, 1<<16))
	if err != nil {
		http.Error(rw, "the prompt is too long", http.StatusRequestEntityTooLarge)
		return
	}
	n := d.calls.Add(1)
	tokensIn, tokensOut := int64(len(prompt))/4, 20+n%60
	usage := events.Usage{
		Source: "/drawdown/demo", ID: d.run + "-" + strconv.FormatInt(n, 10), Account: demoAccount, Time: time.Now().UTC(),
		Data: events.UsageData{Operation: "POST /v1/chat", Status: http.StatusOK, Quantities: map[string]events.Quantity{
			"tokens_in": events.WholeQuantity(tokensIn), "tokens_out": events.WholeQuantity(tokensOut),
		}, Attributes: map[string]string{"model": "demo"}},
	}
	d.emitted.Store(usage.ID, time.Now())
	if _, err := d.emitter.Emit(request.Context(), usage); err != nil {
		http.Error(rw, "the call could not be metered", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(rw, `{"tokens":%d}`, tokensOut)
}

// drawDown calls the API until the account is exhausted, and returns that
// signal. said is told of each signal and how long after its cause it came.
func (d *demoAPI) drawDown(ctx context.Context, signals <-chan heard, said func(events.Signal, time.Duration)) (events.Signal, error) {
	calling, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	for range demoCallers {
		group.Go(func() error { return d.call(calling) })
	}
	for {
		select {
		case h := <-signals:
			s, err := events.DecodeSignal(h.data)
			if err != nil {
				return s, fmt.Errorf("decode a signal: %w", err)
			}
			if began, ok := d.emitted.Load(s.Cause.ID); ok {
				said(s, h.at.Sub(began.(time.Time)))
			}
			if s.Kind == events.SignalExhausted {
				stop()
				return s, group.Wait()
			}
		case <-ctx.Done():
			return events.Signal{}, errors.Join(context.Cause(ctx), group.Wait())
		}
	}
}

// call makes one call after another.
func (d *demoAPI) call(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil && d.calls.Load() < demoCallsMax {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.address+"/v1/chat", strings.NewReader(demoPrompt))
		if err != nil {
			return fmt.Errorf("make a demo call: %w", err)
		}
		answer, err := client.Do(request)
		if err != nil {
			break // stopped
		}
		_, _ = io.Copy(io.Discard, answer.Body) // so that the connection is used again
		_ = answer.Body.Close()
		if pause.For(ctx, demoPause) != nil {
			break
		}
	}
	return nil
}

// demoTopUp pays and waits for restored.
func (a *app) demoTopUp(ctx context.Context, c *client, run string, exhausted events.Signal, signals <-chan heard) error {
	var balance events.Balance
	if _, err := c.call(ctx, http.MethodGet, "/v1/accounts/"+demoAccount+"/balance", "", nil, &balance); err != nil {
		return err
	}
	// What was used past zero is repaid first.
	amount, err := events.MustCredits(demoTopUp).Add(balance.Overage)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := demoCredit(ctx, c, "top-up-"+run, amount.String(), events.SourceTopUp); err != nil {
		return err
	}
	for {
		select {
		case h := <-signals:
			s, err := events.DecodeSignal(h.data)
			if err != nil {
				return fmt.Errorf("decode a signal: %w", err)
			}
			if s.Kind == events.SignalRestored && s.Sequence > exhausted.Sequence {
				a.progress("  top-up            %s credits paid, of which %s for overage", amount, balance.Overage)
				a.progress("  %-10s        available %-9s %s after the top-up was sent", s.Kind, s.Balance.Available, h.at.Sub(began).Round(10*time.Microsecond))
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
