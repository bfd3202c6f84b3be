// Package stream is Drawdown's JetStream topology: which streams and buckets
// an installation has and how they are set, and the few ways the services read
// and append. The streams' names and subjects are in package events.
//
// It keeps no state and decides nothing about credits.
package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// Keys of the streams' metadata.
const (
	// MetadataPartitions says, on USAGE, how many partitions there are.
	MetadataPartitions = "drawdown_partitions"
	// MetadataInstallation says which installation a stream belongs to.
	MetadataInstallation = "drawdown_installation"
)

// Config sets the topology of an installation.
type Config struct {
	// Partitions is fixed for the life of an installation; default 16.
	Partitions int
	// Replicas of each stream; default 1.
	Replicas int
	// UsageMaxBytes is the disk budget of USAGE. A full stream refuses
	// publishers instead of dropping events. 0 means no limit.
	UsageMaxBytes int64
}

// Streams are the streams and buckets of an installation.
type Streams struct {
	// Installation is the installation's id, made when USAGE is. Whatever else
	// remembers something about the streams remembers it too.
	Installation string
	Partitions   int
	Usage        jetstream.Stream
	Ledger       jetstream.Stream
	Signals      jetstream.Stream
	DeadLetter   jetstream.Stream
	Balances     jetstream.KeyValue
	Catalog      jetstream.KeyValue
}

// Ensure creates what is missing and brings settings up to date. It refuses an
// installation with another number of partitions: the partition of an account
// must never change.
//
// A server that does not answer is asked again, until ctx ends.
func Ensure(ctx context.Context, js jetstream.JetStream, c Config) (*Streams, error) {
	for {
		s, err := ensureOnce(ctx, js, c)
		if err == nil || ctx.Err() != nil || !transient(err) {
			return s, err
		}
		if pause.For(ctx, ensureAgain) != nil {
			return nil, err
		}
	}
}

const (
	// ensureTry bounds one try: an answer that died with the server never comes.
	ensureTry   = 10 * time.Second
	ensureAgain = 250 * time.Millisecond
)

// transient reports whether err is of a server that may answer next time.
func transient(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.As(err, &refused) && refused.Code == http.StatusServiceUnavailable
}

func ensureOnce(ctx context.Context, js jetstream.JetStream, c Config) (*Streams, error) {
	ctx, cancel := context.WithTimeout(ctx, ensureTry)
	defer cancel()
	if c.Partitions == 0 {
		c.Partitions = events.DefaultPartitions
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	installation, err := install(ctx, js, c)
	if err != nil {
		return nil, err
	}
	s := &Streams{Installation: installation, Partitions: c.Partitions}
	for config, handle := range map[*jetstream.StreamConfig]*jetstream.Stream{
		usageConfig(c):      &s.Usage,
		ledgerConfig(c):     &s.Ledger,
		signalsConfig(c):    &s.Signals,
		deadLetterConfig(c): &s.DeadLetter,
	} {
		created, err := ensureStream(ctx, js, *config, installation)
		if err != nil {
			return nil, err
		}
		*handle = created
	}
	if s.Balances, err = ensureBalances(ctx, js, c, installation); err != nil {
		return nil, err
	}
	s.Catalog, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: events.BucketCatalog, Description: "Rate cards, plans and accounts; a view of the ledger.",
		History: 1, Replicas: c.Replicas, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("create bucket %s: %w", events.BucketCatalog, err)
	}
	return s, ensureOwn(ctx, js, c)
}

// install returns the id of the installation, which the first to create USAGE
// chooses.
func install(ctx context.Context, js jetstream.JetStream, c Config) (string, error) {
	config := usageConfig(c)
	config.Metadata[MetadataInstallation] = rand.Text()
	_, err := js.CreateStream(ctx, *config)
	switch {
	case err == nil:
		return config.Metadata[MetadataInstallation], nil
	case !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return "", fmt.Errorf("create stream %s: %w", config.Name, err)
	}
	usage, err := js.Stream(ctx, config.Name)
	if err != nil {
		return "", fmt.Errorf("look up stream %s: %w", config.Name, err)
	}
	metadata := usage.CachedInfo().Config.Metadata
	installed, err := strconv.Atoi(metadata[MetadataPartitions])
	switch {
	case err != nil || installed < 1:
		return "", fmt.Errorf("stream %s says %s=%q; expected the number of partitions: it is not Drawdown's",
			config.Name, MetadataPartitions, metadata[MetadataPartitions])
	case installed != c.Partitions:
		return "", fmt.Errorf("this installation has %d partitions, not %d: the number is fixed when it is installed; set DRAWDOWN_PARTITIONS=%d",
			installed, c.Partitions, installed)
	case metadata[MetadataInstallation] == "": // made before installations had ids
		return config.Metadata[MetadataInstallation], nil
	}
	return metadata[MetadataInstallation], nil
}

// ensureStream creates a stream or brings its settings up to date. It refuses
// one of another installation.
func ensureStream(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig, installation string) (jetstream.Stream, error) {
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	config.Metadata[MetadataInstallation] = installation
	found, err := js.Stream(ctx, config.Name)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("look up stream %s: %w", config.Name, err)
	}
	if err == nil {
		if other := found.CachedInfo().Config.Metadata[MetadataInstallation]; other != "" && other != installation {
			return nil, fmt.Errorf("stream %s belongs to installation %s, stream %s to %s: two installations cannot share a NATS account; give one of them another account or server",
				config.Name, other, events.StreamUsage, installation)
		}
	}
	created, err := js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", config.Name, err)
	}
	return created, nil
}

// ensureOwn creates what the services keep for themselves.
func ensureOwn(ctx context.Context, js jetstream.JetStream, c Config) error {
	if err := EnsureLeases(ctx, js, c.Replicas); err != nil {
		return err
	}
	_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: events.BucketProjections, Description: "What a projection into another store agreed with itself to write next.",
		History: 1, Replicas: c.Replicas, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", events.BucketProjections, err)
	}
	_, err = js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: events.BucketSnapshots, Description: "States of the fold, which save a start from the beginning of the ledger.",
		Replicas: c.Replicas, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("create object store %s: %w", events.BucketSnapshots, err)
	}
	return nil
}

// EnsureLeases creates the bucket of leases when it is missing: it is kept in
// memory, and a server that restarts has forgotten it.
func EnsureLeases(ctx context.Context, js jetstream.JetStream, replicas int) error {
	_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: events.BucketLeases, Description: "Which instance of a service has which partition.",
		History: 1, Replicas: max(1, replicas), Storage: jetstream.MemoryStorage, LimitMarkerTTL: leaseMarkers,
	})
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", events.BucketLeases, err)
	}
	return nil
}

// leaseMarkers is how long the bucket of leases keeps a marker of a lease that
// ran out, for those who watch.
const leaseMarkers = time.Minute

// Partitions reads how many partitions the installation has.
func Partitions(ctx context.Context, js jetstream.JetStream) (int, error) {
	usage, err := js.Stream(ctx, events.StreamUsage)
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", events.StreamUsage, err)
	}
	text := usage.CachedInfo().Config.Metadata[MetadataPartitions]
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("stream %s says %s=%q; expected the number of partitions: it is not Drawdown's", events.StreamUsage, MetadataPartitions, text)
	}
	return n, nil
}

func usageConfig(c Config) *jetstream.StreamConfig {
	// Batches are taken for existing partitions only: one for another would be
	// acknowledged and then read by nobody.
	subjects := []string{"usage.*"}
	for p := range c.Partitions {
		subjects = append(subjects, events.BatchSubject(p))
	}
	return &jetstream.StreamConfig{
		Name: events.StreamUsage, Description: "What happened: usage events.",
		Subjects: subjects,
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      "usage.*",
			Destination: fmt.Sprintf("usage.{{partition(%d,1)}}.{{wildcard(1)}}", c.Partitions),
		},
		Storage: jetstream.FileStorage, Replicas: c.Replicas,
		Discard: jetstream.DiscardNew, MaxBytes: unlimited(c.UsageMaxBytes),
		Metadata: map[string]string{MetadataPartitions: strconv.Itoa(c.Partitions)},
	}
}

func ledgerConfig(c Config) *jetstream.StreamConfig {
	return &jetstream.StreamConfig{
		Name: events.StreamLedger, Description: "The truth about credits; kept for ever.",
		Subjects: []string{"ledger.*.*", "ledger.*.correction.*"},
		Storage:  jetstream.FileStorage, Replicas: c.Replicas,
		Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
	}
}

func signalsConfig(c Config) *jetstream.StreamConfig {
	return &jetstream.StreamConfig{
		Name: events.StreamSignals, Description: "Accounts that went low, exhausted or restored.",
		Subjects: []string{"credits.*.*"},
		Storage:  jetstream.FileStorage, Replicas: c.Replicas, Discard: jetstream.DiscardNew,
	}
}

func deadLetterConfig(c Config) *jetstream.StreamConfig {
	return &jetstream.StreamConfig{
		Name: events.StreamDeadLetter, Description: "Usage events that could not be rated, with the reason.",
		Subjects: []string{"deadletter.>"},
		Storage:  jetstream.FileStorage, Replicas: c.Replicas, Discard: jetstream.DiscardNew,
	}
}

// ensureBalances creates the stream under bucket BALANCES itself, because the
// key-value API cannot ask for asynchronous writes. Balances are a view: what
// a crash takes of them, the projector writes again.
func ensureBalances(ctx context.Context, js jetstream.JetStream, c Config, installation string) (jetstream.KeyValue, error) {
	config := jetstream.StreamConfig{
		Name: BucketLog(events.BucketBalances), Description: "Balance of each account; a view of the ledger.",
		Subjects:          []string{BucketSubject(events.BucketBalances, ">")},
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowDirect: true, Storage: jetstream.FileStorage, Replicas: c.Replicas,
	}
	if c.Replicas == 1 {
		config.PersistMode = jetstream.AsyncPersistMode
	}
	if _, err := ensureStream(ctx, js, config, installation); err != nil {
		return nil, err
	}
	bucket, err := js.KeyValue(ctx, events.BucketBalances)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", events.BucketBalances, err)
	}
	return bucket, nil
}

func unlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// Open opens an installation's streams and buckets as they are. Unlike Ensure
// it changes nothing.
func Open(ctx context.Context, js jetstream.JetStream) (*Streams, error) {
	partitions, err := Partitions(ctx, js)
	if err != nil {
		return nil, err
	}
	s := &Streams{Partitions: partitions}
	for name, handle := range map[string]*jetstream.Stream{
		events.StreamUsage: &s.Usage, events.StreamLedger: &s.Ledger,
		events.StreamSignals: &s.Signals, events.StreamDeadLetter: &s.DeadLetter,
	} {
		if *handle, err = js.Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("open stream %s: %w", name, err)
		}
	}
	s.Installation = s.Usage.CachedInfo().Config.Metadata[MetadataInstallation]
	for name, handle := range map[string]*jetstream.KeyValue{events.BucketBalances: &s.Balances, events.BucketCatalog: &s.Catalog} {
		if *handle, err = js.KeyValue(ctx, name); err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", name, err)
		}
	}
	return s, nil
}
