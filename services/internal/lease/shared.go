package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// TTL is how long a lease lives that nobody renews.
const TTL = 3 * time.Second

// Config says who shares what.
type Config struct {
	Broker     stream.Broker
	Service    string
	Partitions int
	// Instance is this process's for as long as it lives, and may be the next
	// process's that has the same state folder.
	Instance string
	// Create makes bucket LEASES when it is missing: one in memory is gone
	// after a restart of its server. nil leaves that to others.
	Create func(context.Context) error
	// TTL of leases, in whole seconds; default TTL. All instances have the same.
	TTL    time.Duration
	Logger *slog.Logger // default discards
}

// ErrSuperseded reports that another process is this instance too.
var ErrSuperseded = errors.New("another process has the same instance id")

// Shared is a share of a service's partitions. Run it once at a time.
type Shared struct{ config Config }

// New returns a share that holds nothing before it runs.
func New(c Config) (*Shared, error) {
	if c.TTL == 0 {
		c.TTL = TTL
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := CheckInstance(c.Instance); err != nil {
		return nil, err
	}
	if c.Broker == nil || c.Service == "" || c.Partitions < 1 || c.TTL < time.Second || c.TTL%time.Second != 0 {
		return nil, fmt.Errorf("share the partitions of %q: broker, service, partitions and a TTL of whole seconds are required", c.Service)
	}
	return &Shared{config: c}, nil
}

// Run holds partitions as long as ctx lasts; see Share. Partitions that are
// free are taken at once. The only error is ErrSuperseded.
func (s *Shared) Run(ctx context.Context, work Work) error {
	k := &keeper{
		Config: s.config, log: s.config.Broker.Log(Bucket), work: work,
		self:    Member{Instance: s.config.Instance, Run: rand.Text(), Since: time.Now().UTC()},
		view:    newView(s.config.Partitions),
		slots:   make([]slot, s.config.Partitions),
		ended:   make(chan int, s.config.Partitions),
		changes: make(chan change),
	}
	return k.run(ctx)
}

// every is how often leases are renewed.
func (c *Config) every() time.Duration { return c.TTL / 3 }

// validity is how long an instance trusts a lease, counted from before it asked
// for it. The rest is for work to end in.
func (c *Config) validity() time.Duration { return c.TTL - c.TTL/6 }

// patience is how long a partition is kept for work that does not end.
func (c *Config) patience() time.Duration { return 10 * c.TTL }
