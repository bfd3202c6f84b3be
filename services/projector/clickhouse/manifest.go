package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// manifestFormat is raised when an older writer could not go by a manifest.
const manifestFormat = 1

// Keys of the manifests in bucket PROJECTIONS.
const (
	keyLive    = "clickhouse"
	keyRebuild = "clickhouse_rebuild"
)

// manifest is what the writers of one database have agreed on. A batch is in it
// before its first row is sent, and the one before it is wholly in the database
// then: who agrees on a batch has sent the one before, whoever cut it.
type manifest struct {
	Format       int    `json:"format"`
	Installation string `json:"installation"`
	Database     string `json:"database"`
	Generation   uint64 `json:"generation"`
	// Newest may be anywhere between not sent and complete, Previous is complete.
	Newest   agreed `json:"newest,omitzero"`
	Previous agreed `json:"previous,omitzero"`
	// Stopped are the partitions that have no more rows.
	Stopped []Stop `json:"stopped,omitempty"`
	// Swap is set while the tables are exchanged for rebuilt ones. Nothing may
	// be agreed on then.
	Swap swap `json:"swap,omitzero"`
}

// agreed is one batch: its borders, the message that it ends with, and how many
// rows it has.
type agreed struct {
	Span
	Mark       stream.Mark `json:"mark"`
	LedgerRows int         `json:"ledger_rows"`
	UsageRows  int         `json:"usage_rows"`
	// Complete says that it must not be sent again. What follows from exchanged
	// tables would not recognise it: ClickHouse's views sign the tokens of what
	// they insert, and these are other views.
	Complete bool `json:"complete,omitzero"`
}

// swap is an exchange of tables that has begun.
type swap struct {
	Generation uint64 `json:"generation"` // of the rebuilt tables
	Attempt    int    `json:"attempt"`    // counts those who took it over
}

// errOvertaken reports that another writer has agreed on something since.
var errOvertaken = errors.New("another writer of this ClickHouse database has gone on")

// agreement is a manifest as its user last read or wrote it. It is for one
// goroutine.
type agreement struct {
	log       stream.Log
	subject   string
	revision  uint64
	manifest  manifest
	exists    bool
	writtenAt time.Time // by the server's clock
}

func newAgreement(broker stream.Broker, key string) *agreement {
	return &agreement{
		log:     broker.Log(stream.BucketLog(events.BucketProjections)),
		subject: stream.BucketSubject(events.BucketProjections, key),
	}
}

// read reads the manifest anew.
func (a *agreement) read(ctx context.Context) error {
	m, ok, err := a.log.Last(ctx, a.subject)
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	a.revision, a.manifest, a.writtenAt = m.Sequence, manifest{}, m.Time
	if a.exists = ok && len(m.Data) > 0; !a.exists { // a deleted key ends with an empty message
		return nil
	}
	if err := json.Unmarshal(m.Data, &a.manifest); err != nil {
		return diverged("key %s cannot be read: %v", a.subject, err)
	}
	if a.manifest.Format != manifestFormat {
		return foreign("key %s has format %d, and this version knows %d: run the newer version", a.subject, a.manifest.Format, manifestFormat)
	}
	return nil
}

// holds returns errOvertaken when the manifest is no longer what the user knows.
func (a *agreement) holds(ctx context.Context) error {
	m, _, err := a.log.Last(ctx, a.subject)
	switch {
	case err != nil:
		return fmt.Errorf("read the manifest: %w", err)
	case m.Sequence != a.revision:
		return errOvertaken
	}
	return nil
}

// propose replaces the manifest that the user knows. It returns errOvertaken
// when that is no longer the newest; after any other error nobody knows, and
// proposing the same again is safe.
func (a *agreement) propose(ctx context.Context, next manifest) error {
	body, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	revision, err := a.log.Append(ctx, stream.Append{Subject: a.subject, Data: body, Fence: &stream.Fence{Sequence: a.revision}})
	if errors.Is(err, stream.ErrFenced) {
		return a.settle(ctx, next, body)
	}
	if err != nil {
		return fmt.Errorf("agree on what comes next: %w", err)
	}
	a.revision, a.manifest, a.exists = revision, next, true
	return nil
}

// settle finds out whether the manifest that fenced a proposal off is that
// proposal: its answer may have been lost.
func (a *agreement) settle(ctx context.Context, next manifest, body []byte) error {
	m, _, err := a.log.Last(ctx, a.subject)
	switch {
	case err != nil:
		return fmt.Errorf("read the manifest: %w", err)
	case !bytes.Equal(m.Data, body):
		return errOvertaken
	}
	a.revision, a.manifest, a.exists = m.Sequence, next, true
	return nil
}

// remove deletes the manifest that the user knows.
func (a *agreement) remove(ctx context.Context) error {
	revision, err := a.log.Append(ctx, stream.Append{Subject: a.subject, Fence: &stream.Fence{Sequence: a.revision}})
	if errors.Is(err, stream.ErrFenced) {
		return errOvertaken
	}
	if err != nil {
		return fmt.Errorf("remove the manifest: %w", err)
	}
	a.revision, a.manifest, a.exists = revision, manifest{}, false
	return nil
}

// errSwapping reports that the tables are being exchanged for rebuilt ones.
var errSwapping = errors.New("the tables are being exchanged for rebuilt ones")
