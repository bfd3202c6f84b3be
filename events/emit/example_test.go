package emit_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
)

// One event is emitted as soon as the call it meters is done; the receipt tells
// when it is stored.
func ExampleEmitter_Emit() {
	nc, stop := installation() // nats.Connect(url, nats.MaxReconnects(-1))
	defer stop()
	emitter, err := emit.New(nc, emit.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	receipt, err := emitter.Emit(ctx, events.Usage{
		Source: "/services/chat", ID: "01J9ZK3M8Q", Account: "acct_7", Time: time.Now(),
		Data: events.UsageData{Operation: "POST /v1/chat", Quantities: map[string]events.Quantity{"tokens_in": events.WholeQuantity(374)}},
	})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println("stored:", receipt.Wait(ctx) == nil)
	fmt.Println("closed:", emitter.Close(ctx) == nil)
	// Output:
	// stored: true
	// closed: true
}

// A batch is answered event by event.
func ExampleEmitter_EmitBatch() {
	nc, stop := installation()
	defer stop()
	emitter, err := emit.New(nc, emit.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	defer emitter.Close(ctx)
	good := events.Usage{Source: "/s", ID: "1", Account: "acct_7", Time: time.Now(), Data: events.UsageData{Operation: "GET /"}}
	bad := good
	bad.Account = ""
	for _, err := range emitter.EmitBatch(ctx, []events.Usage{good, bad}) {
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// /subject: the account is absent; expected 1 to 64 of A–Z a–z 0–9 _ -
}

// With a spool a service starts and emits without NATS, and no usage is lost.
func ExampleSpool() {
	dir, err := os.MkdirTemp("", "usage")
	if err != nil {
		log.Print(err)
		return
	}
	defer os.RemoveAll(dir)
	nc, err := nats.Connect("nats://127.0.0.1:1", nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)) // nobody is there
	if err != nil {
		log.Print(err)
		return
	}
	defer nc.Close()
	emitter, err := emit.New(nc, emit.Options{Partitions: 16, Spool: emit.Spool{Dir: dir}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	receipt, err := emitter.Emit(ctx, events.Usage{
		Source: "/services/chat", ID: "01J9ZK3M8Q", Account: "acct_7", Time: time.Now(), Data: events.UsageData{Operation: "POST /v1/chat"},
	})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println("kept:", receipt.Wait(ctx) == nil, "on this machine:", receipt.Spooled())
	fmt.Println("events to deliver:", emitter.Stats().Spool.Events)
	fmt.Println("closed:", emitter.Close(ctx) == nil) // the next process delivers it
	// Output:
	// kept: true on this machine: true
	// events to deliver: 1
	// closed: true
}
