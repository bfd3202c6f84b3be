package snapshot_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/natstest"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot"
	"github.com/drawdown-credits/drawdown/services/internal/snapshot/snapshottest"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

func TestMemoryIsAStore(t *testing.T) {
	snapshottest.Run(t, func(*testing.T) snapshot.Store { return &snapshot.Memory{} })
}

func TestTheObjectStoreIsAStore(t *testing.T) {
	snapshottest.Run(t, func(t *testing.T) snapshot.Store { return newWorld(t).store })
}

// world is an installation with its snapshots.
type world struct {
	t       *testing.T
	js      jetstream.JetStream
	objects jetstream.ObjectStore
	store   snapshot.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	nc := natstest.Run(t).Connect()
	w := &world{t: t}
	var err error
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Ensure(t.Context(), w.js, stream.Config{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if w.objects, err = w.js.ObjectStore(t.Context(), events.BucketSnapshots); err != nil {
		t.Fatal(err)
	}
	broker, err := stream.NewBroker(nc)
	if err != nil {
		t.Fatal(err)
	}
	w.store = snapshot.NewStore(broker)
	return w
}

func (w *world) save(sequence uint64, content string) {
	w.t.Helper()
	h := snapshot.Header{Mark: stream.Mark{Sequence: sequence}}
	err := w.store.Save(w.t.Context(), "a", h, func(to io.Writer) error {
		_, err := io.WriteString(to, content)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// loaded is the content of the newest that is whole.
func (w *world) loaded() (string, error) {
	w.t.Helper()
	var b []byte
	_, _, err := w.store.Load(w.t.Context(), "a", 0, func(_ snapshot.Header, content io.Reader) (err error) {
		b, err = io.ReadAll(content)
		return err
	})
	return string(b), err
}

// subject is that of the content at a sequence.
func (w *world) subject(sequence uint64) string {
	w.t.Helper()
	all, err := w.objects.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range all {
		if strings.Contains(o.Metadata["header"], fmt.Sprintf(`"sequence":%d,`, sequence)) {
			return "$O." + events.BucketSnapshots + ".C." + o.NUID
		}
	}
	w.t.Fatalf("no object at %d among %v", sequence, all)
	return ""
}

func TestASnapshotIsAnObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := strings.Repeat("content", 100_000)
	w.save(1, content)
	all, err := w.objects.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("objects: %v, %v; want one", all, err)
	}
	if got, err := w.objects.GetString(t.Context(), all[0].Name); err != nil || got != content {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(content))
	}
}

func TestADamagedSnapshotGivesWayToTheOneBefore(t *testing.T) {
	t.Parallel()
	damages := map[string]func(w *world, subject string) error{
		"another chunk behind it": func(w *world, subject string) error {
			_, err := w.js.Publish(t.Context(), subject, []byte("more"))
			return err
		},
		"other content in its place": func(w *world, subject string) error {
			m := nats.NewMsg(subject)
			m.Header.Set("Nats-Rollup", "sub")
			_, err := w.js.PublishMsg(t.Context(), m)
			return err
		},
		"no content": func(w *world, subject string) error {
			s, err := w.js.Stream(t.Context(), "OBJ_"+events.BucketSnapshots)
			if err != nil {
				return err
			}
			return s.Purge(t.Context(), jetstream.WithPurgeSubject(subject))
		},
		"a description with another digest": func(w *world, subject string) error {
			s, err := w.js.Stream(t.Context(), "OBJ_"+events.BucketSnapshots)
			if err != nil {
				return err
			}
			name := subject[strings.LastIndexByte(subject, '.')+1:]
			m, err := s.GetLastMsgForSubject(t.Context(), "$O."+events.BucketSnapshots+".M."+base64.URLEncoding.EncodeToString([]byte(name)))
			if err != nil {
				return err
			}
			other := strings.Replace(string(m.Data), "SHA-256=", "SHA-256=x", 1)
			_, err = w.js.Publish(t.Context(), m.Subject, []byte(other))
			return err
		},
		"a chunk missing": func(w *world, subject string) error {
			s, err := w.js.Stream(t.Context(), "OBJ_"+events.BucketSnapshots)
			if err != nil {
				return err
			}
			return s.Purge(t.Context(), jetstream.WithPurgeSubject(subject), jetstream.WithPurgeKeep(1))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.save(1, "good")
			w.save(2, strings.Repeat("bad", 100_000))
			if err := damage(w, w.subject(2)); err != nil {
				t.Fatal(err)
			}
			got, err := w.loaded()
			if got != "good" || err == nil {
				t.Errorf("loaded %d bytes, %v; want the one before, and why", len(got), err)
			}
			w.save(3, "new")
			if got, err = w.loaded(); got != "new" || err != nil {
				t.Errorf("after another save: %q, %v", got, err)
			}
		})
	}
}

func TestASnapshotWrittenOverWhileItIsReadIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := strings.Repeat("x", 40<<20) // more than a reader holds
	w.save(1, content)
	_, ok, err := w.store.Load(t.Context(), "a", 0, func(_ snapshot.Header, r io.Reader) error {
		for i := range uint64(3) { // the third takes its place
			w.save(2+i, "later")
		}
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if ok || err == nil {
		t.Errorf("taken: %v, %v", ok, err)
	}
}

func TestASaveThatIsStoppedLeavesWhatThereWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.save(1, "one")
	w.save(2, "two")
	ctx, cancel := context.WithCancel(t.Context())
	err := w.store.Save(ctx, "a", snapshot.Header{Mark: stream.Mark{Sequence: 3}}, func(to io.Writer) error {
		for i := range 10 {
			if i == 5 {
				cancel()
			}
			if _, err := to.Write(make([]byte, 128<<10)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Error("a save that was stopped reports success")
	}
	if got, err := w.loaded(); got != "two" || err != nil {
		t.Errorf("loaded %q, %v; want what was saved before", got, err)
	}
}

func TestAHeaderOfAnotherOwnerIsRefused(t *testing.T) {
	want := snapshot.Header{Format: 1, Installation: "one", Partition: 3, Partitions: 16, Mark: stream.Mark{Sequence: 9}}
	for name, change := range map[string]func(*snapshot.Header){
		"another format":               func(h *snapshot.Header) { h.Format++ },
		"another installation":         func(h *snapshot.Header) { h.Installation = "two" },
		"another partition":            func(h *snapshot.Header) { h.Partition++ },
		"another number of partitions": func(h *snapshot.Header) { h.Partitions++ },
		"of the whole ledger":          func(h *snapshot.Header) { h.Partition = snapshot.Whole },
	} {
		h := want
		change(&h)
		if h.Check(want) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := want.Check(want); err != nil {
		t.Error(err)
	}
}
