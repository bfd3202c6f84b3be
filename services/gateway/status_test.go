package gateway_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// instance holds the partitions of a service that nobody else does, and reports
// as it is told to.
func (w *world) instance(service string, n int, name string, report func(partition int) lease.Report) (stop func()) {
	w.t.Helper()
	broker, err := stream.NewBroker(w.nc)
	w.ok(err)
	share, err := lease.New(lease.Config{Broker: broker, Service: service, Partitions: n, Instance: name})
	w.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- share.Run(ctx, func(ctx context.Context, held *lease.Held) {
			held.Report(report(held.Partition))
			<-ctx.Done()
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run %s of %s: %v", name, service, err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// live reports as a service that keeps up.
func live(int) lease.Report { return lease.Report{State: lease.StateLive, Sequence: 7} }

// status asks until the answer is as asked for.
func (w *world) status(what string, is func(gateway.Status) bool) (s gateway.Status) {
	w.t.Helper()
	w.until(what, func() bool {
		s = decode[gateway.Status](w.call(http.MethodGet, "/v1/status", "").want(http.StatusOK))
		return is(s)
	})
	return s
}

func TestStatusSaysWhoWorksOnWhatAndHowFarEachHasCome(t *testing.T) {
	t.Parallel()
	w := start(t)
	if s := w.status("answered", func(gateway.Status) bool { return true }); s.State != "degraded" || len(s.Instances) != 0 {
		t.Errorf("nobody works: %+v; want degraded without instances", s)
	}
	stop := w.instance(lease.Rater, partitions, "one", func(partition int) lease.Report {
		return lease.Report{State: lease.StateLive, Sequence: uint64(10 + partition), Lag: 3, Known: 5}
	})
	w.instance(lease.Balances, partitions, "one", live)
	w.instance(lease.Enforcer, partitions, "two", live)
	w.instance(lease.ClickHouse, 1, "two", live)
	s := w.status("all is live", func(s gateway.Status) bool { return s.State == "live" })
	rater := s.Services[0]
	if p := rater.Partitions[1]; rater.Service != "rater" || p.Partition != 1 || p.Owner != "one" || p.State != lease.StateLive ||
		p.Sequence != 11 || p.Lag != 3 || p.Known != 5 || p.Since.IsZero() {
		t.Errorf("rater: %+v", rater)
	}
	if len(s.Services) != 4 || len(s.Services[3].Partitions) != 1 || s.Services[3].Partitions[0].Owner != "two" {
		t.Errorf("services: %+v; want four, clickhouse with one partition of two", s.Services)
	}
	if len(s.Instances) != 2 || s.Instances[0].Instance != "one" || s.Instances[0].Partitions["rater"] != partitions || s.Instances[1].Partitions["clickhouse"] != 1 {
		t.Errorf("instances: %+v", s.Instances)
	}
	if s.Streams[0].Stream != "USAGE" || s.Installation != w.streams.Installation || s.Partitions != partitions {
		t.Errorf("status: %+v", s)
	}
	stop()
	if err := w.js.DeleteStream(t.Context(), lease.Bucket); err != nil {
		t.Fatal(err)
	}
	w.status("the rater has no owner", func(s gateway.Status) bool {
		return s.State == "degraded" && s.Services[0].Partitions[0].Owner == ""
	})
}

func TestStatusIsDegradedWhenAPartitionHasStopped(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.instance(lease.Rater, partitions, "one", live)
	w.instance(lease.Balances, partitions, "one", func(partition int) lease.Report {
		if partition == 1 {
			return lease.Report{State: lease.StateStopped, Error: "message 9 cannot be read"}
		}
		return live(partition)
	})
	w.instance(lease.Enforcer, partitions, "one", func(int) lease.Report { return lease.Report{State: lease.StateRetrying, Error: "no answer"} })
	w.instance(lease.ClickHouse, 1, "one", live)
	s := w.status("the stopped one is told of", func(s gateway.Status) bool {
		return s.Services[1].Partitions[1].State == lease.StateStopped && s.Services[3].Partitions[0].State == lease.StateLive
	})
	if p := s.Services[1].Partitions[1]; s.State != "degraded" || p.Error != "message 9 cannot be read" || !p.Stopped() {
		t.Errorf("%s: %+v", s.State, p)
	}
	for _, p := range s.Services[2].Partitions {
		if p.Stopped() || !p.OnItsWay() {
			t.Errorf("a partition that is tried again counts as stopped: %+v", p)
		}
	}
}
