package balances

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the projector's own: no label grows with accounts.
type metrics struct {
	entries *prometheus.CounterVec
	puts    *prometheus.CounterVec
	lag     *prometheus.GaugeVec
	stopped *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drawdown_balances_entries_total", Help: "Ledger entries folded into balances, by partition.",
		}, []string{"partition"}),
		puts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drawdown_balances_puts_total", Help: "Values written, by bucket.",
		}, []string{"bucket"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "drawdown_balances_pending", Help: "Ledger messages not yet folded when the last one was delivered, by partition.",
		}, []string{"partition"}),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "drawdown_balances_stopped", Help: "1 for a partition that stopped: a ledger message is unreadable, or the ledger lost its end.",
		}, []string{"partition"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.entries, m.puts, m.lag, m.stopped} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}
