package emit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/events/emit"
	"github.com/drawdown-credits/drawdown/events/emit/spool"
)

// large is an event of about 15 kB.
func large(n int) events.Usage {
	u := accountUsage(n, "acct_1")
	u.Data.Attributes = map[string]string{}
	for i := range 30 {
		u.Data.Attributes["a"+strconv.Itoa(i)] = strings.Repeat("x", 500)
	}
	return u
}

func TestAFullSpoolMakesEmitWaitAndLosesNothing(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	opts.Spool.MaxBytes, opts.MaxPending = spool.MinBytes, 10
	said := listen(&opts)
	e := newEmitter(t, connectTo(t, o.url()), opts)
	full, cancel := context.WithCancel(t.Context())
	go func() {
		said.await(t, "spool takes no events")
		cancel()
	}()
	n := 0
	for {
		if _, err := e.Emit(full, large(n)); err != nil {
			break
		}
		n++
	}
	stats := e.Stats()
	if stats.Spool.Bytes > spool.MinBytes || stats.Spool.Events+stats.Pending != n || !errors.Is(stats.Spool.Refusing, spool.ErrFull) {
		t.Errorf("after %d events: %+v", n, stats)
	}
	for e.Stats().Pending < 10 {
		emitOne(t, e, large(n))
		n++
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := e.Emit(soon, large(n)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("emit when spool and memory are full: %v", err)
	}
	o.endWithUsage(nil)
	emitOne(t, e, large(n)) // waits for room
	deliver(t, e)
	checkStored(t, o.url(), n+1)
}

func TestAnEventThatAFullSpoolCannotKeepSaysSoAtItsDeadline(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	opts.Spool.MaxBytes, opts.Timeout = spool.MinBytes, time.Millisecond
	e := newEmitter(t, connectTo(t, o.url()), opts)
	kept := 0
	for n := 0; ; n++ {
		err := e.EmitWait(t.Context(), large(n))
		if errors.Is(err, emit.ErrUnacknowledged) && errors.Is(err, spool.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kept++
	}
	o.endWithUsage(nil)
	deliver(t, e)
	checkStored(t, o.url(), kept)
}

func TestAFailingDiskIsReportedAndDoesNotStopTheStream(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	e := newEmitter(t, connectTo(t, o.url()), opts)
	fillDisk(t, opts.Spool.Dir)
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	receipt, err := e.Emit(soon, usage(1000))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err == nil {
		if err := receipt.Wait(t.Context()); !errors.Is(err, emit.ErrUnacknowledged) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("an event that cannot be kept: %v", err)
		}
	}
	waiting := []*emit.Receipt{emitOne(t, e, usage(0)), emitOne(t, e, usage(1))}
	o.endWithUsage(nil)
	for n, receipt := range waiting {
		if err := receipt.Wait(t.Context()); err != nil || receipt.Spooled() {
			t.Errorf("event %d: %v, spooled %v, want it stored without the disk", n, err, receipt.Spooled())
		}
	}
	keepOne(t, e, 2, false)
	checkStored(t, o.url(), 3)
	if stats := e.Stats(); stats.Spool.Events != 0 || stats.Pending != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestADiskThatWorksAgainTakesWhatWaited(t *testing.T) {
	o := newOutage(t)
	opts := spooled(t)
	said := listen(&opts)
	e := newEmitter(t, connectTo(t, o.url()), opts)
	repair := fillDisk(t, opts.Spool.Dir)
	receipt := emitOne(t, e, usage(0))
	said.await(t, "spool takes no events")
	if err := e.Stats().Spool.Refusing; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("refusing because %v", err)
	}
	select {
	case <-receipt.Done():
		t.Errorf("an event was settled (%v) that is not kept", receipt.Err())
	default:
	}
	repair()
	said.await(t, "spool takes events again")
	if err := receipt.Wait(t.Context()); err != nil || !receipt.Spooled() {
		t.Errorf("%v, spooled %v", err, receipt.Spooled())
	}
	if stats := e.Stats(); stats.Spool.Refusing != nil || stats.Spool.Events != 1 {
		t.Errorf("stats %+v", stats)
	}
	o.endWithUsage(nil)
	deliver(t, e)
	checkStored(t, o.url(), 1)
}

// fillDisk makes every write to the spool in dir, which is open and holds
// nothing, meet a full disk: its segments are links to a device that always is.
func fillDisk(t *testing.T, dir string) (repair func()) {
	t.Helper()
	var links []string
	for number := range 1000 {
		link := filepath.Join(dir, fmt.Sprintf("%016d.segment", number+1))
		if err := os.Symlink("/dev/full", link); err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	return func() {
		for _, link := range links {
			_ = os.Remove(link) // some are gone
		}
	}
}
