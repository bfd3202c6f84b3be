package emit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// Keys of the USAGE stream's metadata.
const (
	// MetadataPartitions holds the number of partitions.
	MetadataPartitions = "drawdown_partitions"
	// MetadataInstallation holds the installation's id.
	MetadataInstallation = "drawdown_installation"
)

// ErrForeignSpool is the error of a spool whose events belong to another
// installation, or to another number of partitions, than the stream that they
// would be delivered to.
var ErrForeignSpool = errors.New("spool belongs to another installation")

// askTimeout is how long the server is asked for the stream's metadata.
const askTimeout = 10 * time.Second

// askUsage asks the USAGE stream what it belongs to.
func askUsage(ctx context.Context, js jetstream.JetStream) (spool.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, events.StreamUsage)
	if err != nil {
		return spool.Description{}, fmt.Errorf("read stream %s: %w", events.StreamUsage, err)
	}
	metadata := stream.CachedInfo().Config.Metadata
	n, err := strconv.Atoi(metadata[MetadataPartitions])
	if err != nil || n < 1 {
		return spool.Description{}, fmt.Errorf("metadata %s of stream %s is %q, expected the number of partitions",
			MetadataPartitions, events.StreamUsage, metadata[MetadataPartitions])
	}
	return spool.Description{Partitions: n, Installation: metadata[MetadataInstallation]}, nil
}

// usage is what an Emitter starts from.
type usage struct {
	spool.Description
	asked bool // the stream itself said so
}

// findPartitions finds out the number of partitions: as the options say, else as
// the stream says, else as the spool remembers. It makes s remember that; s is
// nil without a spool.
func findPartitions(nc *nats.Conn, opts *Options, s *spool.Spool) (usage, error) {
	var remembered spool.Description
	if s != nil {
		remembered = s.Description()
	}
	found := usage{Description: remembered}
	connected := nc.Status() == nats.CONNECTED
	switch {
	case opts.Partitions > 0:
		if opts.Partitions != remembered.Partitions {
			found.Description = spool.Description{Partitions: opts.Partitions}
		}
	case connected || s == nil:
		js, err := jetstream.New(nc)
		if err != nil {
			return usage{}, fmt.Errorf("open jetstream: %w", err)
		}
		asked, err := askUsage(context.Background(), js)
		if err != nil && remembered.Partitions == 0 {
			return usage{}, err
		}
		if err == nil {
			found = usage{asked, true}
		}
	case remembered.Partitions == 0:
		return usage{}, fmt.Errorf("%w, and the spool %s is new: the number of partitions is not known; "+
			"set Options.Partitions, or start once with the server reachable", errDisconnected, opts.Spool.Dir)
	}
	if s == nil {
		return found, nil
	}
	if held := s.Stats().Events; held > 0 && !compatible(remembered, found.Description) {
		return usage{}, foreign(opts.Spool.Dir, held, remembered, found.Description)
	}
	if err := s.Describe(found.Description); err != nil {
		return usage{}, fmt.Errorf("describe the spool: %w", err)
	}
	return found, nil
}

// compatible reports that events kept for a may be delivered to b.
func compatible(a, b spool.Description) bool {
	return a.Partitions == b.Partitions && (a.Installation == b.Installation || a.Installation == "" || b.Installation == "")
}

func foreign(dir string, events int, kept, found spool.Description) error {
	return fmt.Errorf("%s holds %d events for installation %q with %d partitions, and this is %q with %d; deliver them there, or use another folder: %w",
		dir, events, kept.Installation, kept.Partitions, found.Installation, found.Partitions, ErrForeignSpool)
}
