package rater

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	events      *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	chunks      prometheus.Counter
	retries     *prometheus.CounterVec
	stopped     *prometheus.GaugeVec
	known       *prometheus.GaugeVec
	pending     *prometheus.GaugeVec
	badCards    prometheus.Counter
}

// newMetrics registers the rater's metrics; with none to register with, they
// are kept all the same.
func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "drawdown_rater_" + name, Help: help}
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Name: "drawdown_rater_" + name, Help: help}
	}
	return &metrics{
		events:      auto.NewCounterVec(counter("events_total", "Usage events settled, by outcome: charged, duplicate or rejected."), []string{"outcome"}),
		deadLetters: auto.NewCounterVec(counter("dead_letters_total", "Usage events that could not be rated, by reason."), []string{"reason"}),
		chunks:      auto.NewCounter(counter("chunks_total", "Ledger messages appended.")),
		retries:     auto.NewCounterVec(counter("retries_total", "Times a partition went back to what the ledger says, by cause: fenced, reconnected or trouble."), []string{"cause"}),
		stopped:     auto.NewGaugeVec(gauge("stopped", "1 when a partition is stopped until somebody looks at it."), []string{"partition"}),
		known:       auto.NewGaugeVec(gauge("known_events", "Usage events remembered as charged."), []string{"partition"}),
		pending:     auto.NewGaugeVec(gauge("pending_messages", "Usage messages that stood behind the last one read."), []string{"partition"}),
		badCards:    auto.NewCounter(counter("refused_rate_cards_total", "Rate card versions in the catalog that could not be used.")),
	}
}

// settled counts a chunk that is in the ledger.
func (m *metrics) settled(c *chunk) {
	m.chunks.Inc()
	m.events.WithLabelValues("charged").Add(float64(len(c.entries)))
	m.events.WithLabelValues("duplicate").Add(float64(c.span.Duplicates))
	m.events.WithLabelValues("rejected").Add(float64(c.span.Rejected))
	for _, d := range c.deadLetters {
		m.deadLetters.WithLabelValues(d.Reason).Inc()
	}
}

func label(partition int) string { return strconv.Itoa(partition) }
