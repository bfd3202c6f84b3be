package clickhouse

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

// State says in one word how a projection fares.
type State string

// The states of a projection.
const (
	StateIdle     State = ""         // another instance writes, or nobody yet
	StateStarting State = "starting" // reading what was written before
	StateLive     State = "live"
	StateRetrying State = "retrying" // by Problem, which may pass
	StateStopped  State = "stopped"  // by Problem, until a person mends it
)

// Status says how far a projection is.
type Status struct {
	State State `json:"state"`
	// Through is the LEDGER sequence up to which ClickHouse holds everything.
	Through uint64 `json:"through"`
	// Last is the newest LEDGER sequence that the projection knows of.
	Last uint64 `json:"last"`
	// Retries counts inserts that failed and were, or will be, sent again.
	Retries uint64 `json:"retries"`
	// Problem is what keeps the projection from going on now; empty when nothing
	// does.
	Problem string `json:"problem,omitzero"`
	// Stopped are the partitions that have no more rows.
	Stopped []Stop `json:"stopped,omitempty"`
}

// status is shared by the projection's goroutines and whoever asks.
type status struct {
	mu      sync.Mutex
	held    *lease.Held // nil while another instance writes
	state   State
	through map[string]uint64 // by stream
	last    map[string]uint64
	retries uint64
	problem string
	stops   []Stop

	rowsTotal *prometheus.CounterVec
}

func newStatus() *status {
	return &status{
		through: map[string]uint64{}, last: map[string]uint64{},
		rowsTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drawdown_clickhouse_rows_total", Help: "Rows inserted, by table.",
		}, []string{"table"}),
	}
}

// register adds the metrics to r.
func (s *status) register(r prometheus.Registerer) error {
	collectors := []prometheus.Collector{s.rowsTotal, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "drawdown_clickhouse_retries_total", Help: "Inserts that failed and were sent again.",
	}, func() float64 { return float64(s.read().Retries) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drawdown_clickhouse_stopped_partitions", Help: "Partitions that have no more rows, because of a message that cannot be read.",
	}, func() float64 { return float64(len(s.read().Stopped)) })}
	for _, stream := range []string{events.StreamLedger, events.StreamSignals} {
		labels := prometheus.Labels{"stream": stream}
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drawdown_clickhouse_projected_sequence", Help: "Newest message that is in ClickHouse, with all before it.", ConstLabels: labels,
		}, func() float64 { through, _ := s.progress(stream); return float64(through) }))
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drawdown_clickhouse_lag_messages", Help: "Messages that are not in ClickHouse yet.", ConstLabels: labels,
		}, func() float64 { through, last := s.progress(stream); return float64(last - through) }))
	}
	var err error
	for _, c := range collectors {
		err = errors.Join(err, r.Register(c))
	}
	return err
}

func (s *status) read() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	through, last := s.far(events.StreamLedger)
	return Status{State: s.state, Through: through, Last: last, Retries: s.retries, Problem: s.problem, Stopped: slices.Clone(s.stops)}
}

func (s *status) progress(stream string) (through, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.far(stream)
}

func (s *status) far(stream string) (through, last uint64) {
	return s.through[stream], max(s.last[stream], s.through[stream])
}

// change makes a change and reports it to whoever shares the work.
func (s *status) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	if s.held == nil {
		return
	}
	through, last := s.far(events.StreamLedger)
	report := lease.Report{State: string(s.state), Sequence: through, Lag: last - through, Error: s.problem}
	if s.problem == "" && len(s.stops) > 0 {
		report.Error = s.stops[0].String()
	}
	s.held.Report(report)
}

func (s *status) begin(held *lease.Held) {
	s.change(func() { s.held, s.state, s.problem = held, StateStarting, "" })
}

func (s *status) end() {
	s.change(func() {})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = nil
	if s.state != StateStopped {
		s.state = StateIdle
	}
}

func (s *status) seen(stream string, last uint64) {
	s.change(func() { s.last[stream] = max(s.last[stream], last) })
}

func (s *status) written(stream string, through uint64) {
	s.change(func() { s.through[stream] = through })
}

// stopped notes which partitions have stopped, and returns those that are new.
func (s *status) stopped(all []Stop) (fresh []Stop) {
	s.change(func() {
		for _, stop := range all {
			if !slices.Contains(s.stops, stop) {
				fresh = append(fresh, stop)
			}
		}
		s.stops = all
	})
	return fresh
}

func (s *status) rows(table Table, n int) { s.rowsTotal.WithLabelValues(string(table)).Add(float64(n)) }

func (s *status) retry(err error) {
	s.change(func() { s.retries, s.state, s.problem = s.retries+1, StateRetrying, err.Error() })
}

// fail notes what ended a run, and reports whether that is news.
func (s *status) fail(state State, err error) (news bool) {
	s.change(func() {
		news = s.state != state || s.problem != err.Error()
		s.state, s.problem = state, err.Error()
	})
	return news
}

func (s *status) live() { s.change(func() { s.state, s.problem = StateLive, "" }) }

// Halted returns what has stopped and waits for a person: the projection as a
// whole, or partitions of it. It is empty when all goes on.
func (p *Projection) Halted() map[string]error {
	s := p.status.read()
	out := map[string]error{}
	if s.State == StateStopped {
		out["projection clickhouse"] = errors.New(s.Problem)
	}
	for _, stop := range s.Stopped {
		out[fmt.Sprintf("projection clickhouse, partition %s", stop.Partition)] = errors.New(stop.String())
	}
	return out
}
