package lease_test

import (
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/services/internal/lease"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

func TestOneInstanceHoldsEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start("a", unhurried)
	r.await(map[string]int{"a": partitions})
}

func TestInstancesThatJoinAndLeaveShareEvenlyAndNeverTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a", unhurried)
	r.await(map[string]int{"a": 16})
	b := r.start("b", unhurried)
	r.await(map[string]int{"a": 8, "b": 8})
	r.start("c", unhurried)
	r.start("d", unhurried)
	r.await(map[string]int{"a": 4, "b": 4, "c": 4, "d": 4})
	a.stop()
	b.stop()
	r.await(map[string]int{"c": 8, "d": 8})
	r.start("a", unhurried)
	r.start("b", unhurried)
	r.await(map[string]int{"a": 4, "b": 4, "c": 4, "d": 4})
}

func TestAPartitionIsGivenAwayOnlyWhenItsWorkHasEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.trace.ending = make(chan struct{})
	end := sync.OnceFunc(func() { close(r.trace.ending) })
	defer end()
	r.start("a", unhurried)
	r.await(map[string]int{"a": 16})
	r.start("b", unhurried)
	r.trace.awaitTold(8)
	r.start("c", unhurried) // when that is heard, what b asked for was decided
	r.trace.awaitTold(9)
	s := r.standing("read", func(lease.Standing) bool { return true })
	for p, l := range s.Leases["rater"] {
		if l.Instance != "a" {
			t.Errorf("partition %d is %s's while work of a goes on", p, l.Instance)
		}
	}
	if n := len(s.Leases["rater"]); n != partitions {
		t.Errorf("%d partitions are somebody's; want all to be a's", n)
	}
	end()
	r.await(map[string]int{"a": 5, "b": 6, "c": 5})
}

func TestPartitionsOfACrashedInstanceAreTakenWhenTheirLeasesRunOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.trace.overlap = true // on a machine slower than the leases; the fences are for that
	a := r.start("a", lease.TTL)
	r.start("b", lease.TTL)
	r.await(map[string]int{"a": 8, "b": 8})
	a.kill()
	r.await(map[string]int{"b": 16})
}

// What a crashed instance had is taken only after the bucket said that it ran
// out, and by one.
func TestACrashIsNoReasonToWorkTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a", unhurried)
	r.start("b", unhurried)
	r.start("c", unhurried)
	r.await(map[string]int{"a": 5, "b": 6, "c": 5})
	a.kill()
	r.runOut("$KV.LEASES.member.rater.a")
	before := r.standing("shows the leases of a", func(s lease.Standing) bool { return len(s.Leases["rater"]) == partitions })
	for p, l := range before.Leases["rater"] {
		if l.Instance == "a" {
			r.runOut(lease.Key("rater", p))
		}
	}
	r.await(map[string]int{"b": 8, "c": 8})
}

// runOut does to a key what the server does when its time is over.
func (r *rig) runOut(key string) {
	r.t.Helper()
	if _, err := r.js.PublishMsg(r.t.Context(), &nats.Msg{Subject: key, Header: nats.Header{"KV-Operation": {"PURGE"}}}); err != nil {
		r.t.Fatal(err)
	}
}

func TestTheSameInstanceStartedAgainHasItsPartitionsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a", unhurried)
	r.start("b", unhurried)
	r.await(map[string]int{"a": 8, "b": 8})
	a.kill()
	r.await(map[string]int{"nobody": 8, "b": 8})
	r.start("a", unhurried)
	r.await(map[string]int{"a": 8, "b": 8})
}

func TestARestartOfNATSMovesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		r.start(name, unhurried)
	}
	even := map[string]int{"a": 4, "b": 4, "c": 4, "d": 4}
	r.await(even)
	r.standing("complete", func(s lease.Standing) bool { return len(s.Leases["rater"]) == partitions })
	started := r.trace.started()
	for range 3 {
		r.server.Restart()
		r.standing("complete again", func(s lease.Standing) bool {
			return len(s.Members["rater"]) == 4 && len(s.Leases["rater"]) == partitions
		})
	}
	if now := r.trace.started(); now != started || !maps.Equal(r.trace.holders(), even) {
		t.Errorf("work was started %d times more and is shared as %v; want none and as before", now-started, r.trace.holders())
	}
}

func TestWorkEndsWhenNATSIsGoneForLongerThanALease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.trace.overlap = true
	r.start("a", lease.TTL)
	r.start("b", lease.TTL)
	r.await(map[string]int{"a": 8, "b": 8})
	r.server.Close()
	r.await(map[string]int{"nobody": 16})
	r.server.Start()
	r.await(map[string]int{"a": 8, "b": 8})
}

func TestAnInstanceIdIsForOneProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	older := r.start("a", lease.TTL)
	r.await(map[string]int{"a": 16})
	r.trace.overlap = true
	r.start("a", lease.TTL)
	if err := <-older.done; !errors.Is(err, lease.ErrSuperseded) {
		t.Errorf("the older process ends with %v; want ErrSuperseded", err)
	}
	older.done <- nil
	r.await(map[string]int{"a": 16})
}

func TestTheBucketSaysWhoWorksOnWhatAndHowItStands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start("a", lease.TTL)
	s := r.standing("shows live reports", func(s lease.Standing) bool {
		for p := range partitions {
			if s.Leases["rater"][p].Report.State != lease.StateLive {
				return false
			}
		}
		return len(s.Members["rater"]) == 1
	})
	if l := s.Leases["rater"][7]; l.Instance != "a" || l.Report.Sequence != 7 || l.Since.IsZero() {
		t.Errorf("lease of partition 7: %+v", l)
	}
}

func TestAShareThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	broker, err := stream.NewBroker(newRig(t).js.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]lease.Config{
		"an instance with a dot":     {Broker: broker, Service: "rater", Partitions: 1, Instance: "a.b"},
		"an instance without a name": {Broker: broker, Service: "rater", Partitions: 1},
		"a TTL of half seconds":      {Broker: broker, Service: "rater", Partitions: 1, Instance: "a", TTL: lease.TTL / 2},
		"no partitions":              {Broker: broker, Service: "rater", Instance: "a"},
		"no broker":                  {Service: "rater", Partitions: 1, Instance: "a"},
	} {
		if _, err := lease.New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
