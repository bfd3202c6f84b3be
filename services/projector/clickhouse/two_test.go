package clickhouse

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/drawdown-credits/drawdown/services/internal/enginetest"
)

// unsure is a store of which some inserts come to nothing, and others land and
// are not answered.
type unsure struct {
	Store
	mu     sync.Mutex
	random *rand.Rand
}

var errLost = errors.New("the connection broke")

func (u *unsure) Insert(ctx context.Context, b Block) error {
	u.mu.Lock()
	n := u.random.IntN(30)
	u.mu.Unlock()
	if n == 0 {
		return errLost
	}
	err := u.Store.Insert(ctx, b)
	if n == 1 && err == nil {
		return errLost
	}
	return err
}

func TestTwoProjectionsAtOnceWriteEverythingOnce(t *testing.T) {
	t.Parallel()
	const writers, lives = 2, 5
	w, dsn := newWorld(t, 30), enginetest.Database(t)
	w.write(20)
	var running sync.WaitGroup
	for n := range writers {
		random := rand.New(rand.NewPCG(30, uint64(n)))
		running.Go(func() {
			for range lives {
				p := w.projection(dsn, 5+random.IntN(60)) // each cuts as it likes
				p.store = &unsure{Store: p.store, random: random}
				ctx, kill := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				target := p.Status().Through + random.Uint64N(150)
				await(t, "some of it", func() bool {
					s := p.Status()
					return s.State == StateStopped || s.Through >= min(target, s.Last) && s.Last > 0
				})
				if s := p.Status(); s.State == StateStopped {
					t.Errorf("writer stopped: %s", s.Problem)
				}
				kill()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 15 {
		w.write(20)
	}
	running.Wait()
	w.project(dsn, 100)
	w.check(dsn)
}

func TestAWriterThatWakesUpLateChangesNothing(t *testing.T) {
	t.Parallel()
	w, dsn := newWorld(t, 31), enginetest.Database(t)
	w.write(60)
	asleep, wake := make(chan struct{}), make(chan struct{})
	late := w.projection(dsn, 60)
	late.store = &losing{Store: late.store, n: 4, happen: func() { close(asleep); <-wake }}
	stop := run(t, late)
	<-asleep
	w.project(dsn, 30) // sends what late has agreed on, and then all the rest
	close(wake)
	await(t, "the late writer", func() bool { return late.Status().Through >= w.last() })
	stop()
	w.check(dsn)
}

func TestAWriterThatWasOvertakenAgreesOnNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 32)
	one, two := newAgreement(w.broker, keyLive), newAgreement(w.broker, keyLive)
	for _, a := range []*agreement{one, two} {
		if err := a.read(t.Context()); err != nil || a.exists {
			t.Fatalf("a manifest that nobody wrote: exists %t, %v", a.exists, err)
		}
	}
	if err := one.propose(t.Context(), manifest{Format: manifestFormat, Newest: agreed{Span: Span{1, 10}}}); err != nil {
		t.Fatal(err)
	}
	if err := two.propose(t.Context(), manifest{Format: manifestFormat, Newest: agreed{Span: Span{1, 7}}}); !errors.Is(err, errOvertaken) {
		t.Errorf("another's proposal: %v; want it refused", err)
	}
	if err := two.holds(t.Context()); !errors.Is(err, errOvertaken) {
		t.Errorf("the manifest holds for who did not read it: %v", err)
	}
	if err := two.propose(t.Context(), manifest{Format: manifestFormat, Newest: agreed{Span: Span{1, 10}}}); err != nil || two.holds(t.Context()) != nil {
		t.Errorf("a proposal that is what was agreed on, as after a lost answer: %v", err)
	}
	if err := two.read(t.Context()); err != nil || two.manifest.Newest.Span != (Span{1, 10}) {
		t.Errorf("agreed on %+v, %v", two.manifest.Newest, err)
	}
}

func TestADatabaseOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	e := enginetest.Engine(t)
	name := enginetest.NewDatabase(t, e)
	dsn := e.NativeDSN(name)
	w := newWorld(t, 33)
	w.write(30)
	w.project(dsn, 50)

	other := newWorld(t, 33)
	other.write(30)
	other.installation = "other"
	if err := other.mustStop(dsn); !strings.Contains(err, "belongs to installation test, and this is other") {
		t.Errorf("another installation stops with %q", err)
	}
	conn := enginetest.Connect(t, dsn)
	exec(t, conn, "DROP DATABASE "+name+" SYNC")
	if err := w.mustStop(dsn); !strings.Contains(err, "it was replaced or emptied; run drawdown rebuild clickhouse") {
		t.Errorf("a new database of that name stops the projection with %q", err)
	}
}

func TestOfManyClaimsOneCounts(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	owners := make([]Owner, 6)
	var claiming sync.WaitGroup
	for i := range owners {
		claiming.Go(func() {
			store, err := NewStore(dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close()
			if _, err := store.Open(t.Context()); err != nil {
				t.Error(err)
				return
			}
			if owners[i], err = store.Claim(t.Context(), string(rune('a'+i))); err != nil {
				t.Error(err)
			}
		})
	}
	claiming.Wait()
	for _, o := range owners {
		if o != owners[0] || o.Database == "" || o.Installation == "" {
			t.Errorf("owners %+v; want the same for all", owners)
			break
		}
	}
}

func TestAnInsertForTablesOfAnotherGenerationIsRefused(t *testing.T) {
	t.Parallel()
	dsn := enginetest.Database(t)
	store, err := NewStore(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := newStoppedRows()
	rows.put(Stop{Partition: "1", Sequence: 2, Reason: "r"})
	if err := store.Insert(t.Context(), Block{Table: TableStopped, Token: "a", Generation: 1, content: rows}); err == nil || !refused(err) {
		t.Errorf("an insert of generation 1 into tables of generation 0: %v; want a refusal", err)
	}
	if err := store.Insert(t.Context(), Block{Table: TableStopped, Token: "a", content: rows}); err != nil {
		t.Errorf("an insert of the tables' generation: %v", err)
	}
}
