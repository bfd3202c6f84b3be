package clickhouse

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
)

// Status says how far a projection is.
type Status struct {
	// Through is the LEDGER sequence up to which ClickHouse holds everything.
	Through uint64 `json:"through"`
	// Last is the newest LEDGER sequence that the projection knows of.
	Last uint64 `json:"last"`
	// Retries counts inserts that failed and were, or will be, sent again.
	Retries uint64 `json:"retries"`
	// Problem is what keeps the projection from going on now; empty when nothing
	// does.
	Problem string `json:"problem,omitzero"`
}

// status is shared by the projection's goroutines and whoever asks.
type status struct {
	mu      sync.Mutex
	through map[string]uint64 // by stream
	last    map[string]uint64
	retries uint64
	problem string

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
	}, func() float64 { return float64(s.read().Retries) })}
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
	through, last := s.progress(events.StreamLedger)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Through: through, Last: last, Retries: s.retries, Problem: s.problem}
}

func (s *status) progress(stream string) (through, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.through[stream], max(s.last[stream], s.through[stream])
}

func (s *status) seen(stream string, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[stream] = max(s.last[stream], last)
}

func (s *status) written(stream string, through uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.through[stream] = through
}

func (s *status) rows(table string, n int) { s.rowsTotal.WithLabelValues(table).Add(float64(n)) }

func (s *status) retry(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retries++
	s.problem = err.Error()
}

func (s *status) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err.Error()
}

func (s *status) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = ""
}
