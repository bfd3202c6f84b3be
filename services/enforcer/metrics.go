package enforcer

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drawdown-credits/drawdown/events"
)

// metrics are the enforcer's own: no label grows with accounts.
type metrics struct {
	signals *prometheus.CounterVec
	seconds prometheus.Histogram
	fenced  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		signals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drawdown_enforcer_signals_total", Help: "Signals published, by kind.",
		}, []string{"kind"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drawdown_enforcer_signal_seconds", Help: "Time from the ledger entry that caused a signal to its acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drawdown_enforcer_fenced_total", Help: "Signals that were published already when this enforcer tried.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.signals, m.seconds, m.fenced} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) published(s events.Signal, now time.Time) {
	m.signals.WithLabelValues(string(s.Kind)).Inc()
	m.seconds.Observe(max(0, now.Sub(s.At).Seconds()))
}
