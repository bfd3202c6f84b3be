package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
)

// event is one structured usage event.
func event(account, id string) string {
	return `{"specversion":"1.0","type":"drawdown.usage.v1","source":"/e2e","id":"` + id + `","subject":"` + account +
		`","time":"` + time.Now().UTC().Format(time.RFC3339) + `","data":{"operation":"GET /x"}}`
}

func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	in := up(t, t.TempDir())
	in.must("ratecard", "apply", rateCard)
	for _, account := range []string{"acme", "umbrella", "initech"} {
		in.must("grant", "add", account, "1", "--id", "first")
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			if status, body := in.post(events.ContentTypeEvent, event(account, account+id)); status != 202 {
				t.Fatalf("post: %d %s", status, body)
			}
		}
	}
	verified(in)
	js := in.jetStream()
	tests := []struct {
		tampering string
		do        func(t *testing.T)
		where     string
		detail    string
	}{
		{"a balance that is not the ledger's", func(t *testing.T) {
			bucket, err := js.KeyValue(t.Context(), events.BucketBalances)
			if err != nil {
				t.Fatal(err)
			}
			entry, err := bucket.Get(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			richer := bytes.Replace(entry.Value(), []byte(`"available":"0"`), []byte(`"available":"100"`), 1)
			if _, err := bucket.Put(t.Context(), "acme", richer); err != nil {
				t.Fatal(err)
			}
		}, "balances", "account acme"},
		{"a balance of nobody", func(t *testing.T) {
			bucket, err := js.KeyValue(t.Context(), events.BucketBalances)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bucket.Put(t.Context(), "nobody", []byte(`{"account":"nobody","sequence":1}`)); err != nil {
				t.Fatal(err)
			}
		}, "balances", "nobody"},
		{"a signal told twice", func(t *testing.T) {
			stream, err := js.Stream(t.Context(), events.StreamSignals)
			if err != nil {
				t.Fatal(err)
			}
			last, err := stream.GetLastMsgForSubject(t.Context(), events.SignalSubject(events.SignalExhausted, "umbrella"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), last.Subject, last.Data); err != nil {
				t.Fatal(err)
			}
		}, "signals", "account umbrella"},
		{"a rollup that lost a row", func(t *testing.T) {
			in.sqlAsService("DELETE FROM usage_by_hour WHERE account = 'initech'")
		}, "clickhouse", "usage_by_hour"},
		{"a usage event charged twice", func(t *testing.T) {
			stream, err := js.Stream(t.Context(), events.StreamLedger)
			if err != nil {
				t.Fatal(err)
			}
			subject := events.LedgerSubject(events.Partition("initech", events.DefaultPartitions), events.WriterUsage)
			last, err := stream.GetLastMsgForSubject(t.Context(), subject)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), subject, last.Data); err != nil {
				t.Fatal(err)
			}
		}, "ledger", "charged twice"},
	}
	for _, tt := range tests {
		t.Run(tt.tampering, func(t *testing.T) {
			tt.do(t)
			out, status := in.cli("verify", "-o", "json", "--settle", "3s")
			var r report
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("verify: %v\n%s", err, out)
			}
			for _, d := range r.Differences {
				if d.Where == tt.where && strings.Contains(d.Detail, tt.detail) && status == 1 {
					return
				}
			}
			t.Errorf("verify: status %d, differences %v; want 1 and one in %s about %q", status, r.Differences, tt.where, tt.detail)
		})
	}
}

func TestVerifyAgreesBesideLiveTraffic(t *testing.T) {
	in := up(t, t.TempDir())
	in.must("ratecard", "apply", rateCard)
	stop, stopped := make(chan struct{}), make(chan int, 1)
	go func() {
		sent := 0
		defer func() { stopped <- sent }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			status, _, err := in.send(events.ContentTypeEvent, event("live", fmt.Sprint(sent)))
			if err != nil || status != 202 {
				return // the count below does not fit then
			}
			sent++
		}
	}()
	in.eventually(startTimeout, "rates traffic", func() bool {
		_, status := in.cli("balance", "live")
		return status == 0
	})
	for range 3 {
		verified(in)
	}
	close(stop)
	if sent, r := <-stopped, verified(in); r.Usage.Charged != sent || sent < 10 {
		t.Errorf("%d events were accepted, %d charged; want as many, and more than a few", sent, r.Usage.Charged)
	}
}

// jetStream connects as a service would.
func (in *installation) jetStream() jetstream.JetStream {
	in.t.Helper()
	nc, err := nats.Connect(in.NATS)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		in.t.Fatal(err)
	}
	return js
}
