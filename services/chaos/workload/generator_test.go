package workload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
	"github.com/drawdown-credits/drawdown/services/chaos/workload"
)

var plan = workload.Plan{Seed: 3, Start: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), Accounts: 100, Partitions: 16}

func messages(p workload.Plan, role workload.Role, n int) []*workload.Message {
	g := workload.NewGenerator(p, 1, role)
	made := make([]*workload.Message, n)
	for i := range made {
		made[i] = g.Next()
	}
	return made
}

func TestASeedIsAContentOfItsOwn(t *testing.T) {
	for _, role := range []workload.Role{workload.Batches, workload.Singles, workload.Posts} {
		other := plan
		other.Seed++
		if !reflect.DeepEqual(messages(plan, role, 300), messages(plan, role, 300)) {
			t.Errorf("role %d: one seed makes two contents", role)
		}
		if reflect.DeepEqual(messages(plan, role, 300), messages(other, role, 300)) {
			t.Errorf("role %d: two seeds make one content", role)
		}
	}
}

func TestContentHasEverythingARunIsToMeet(t *testing.T) {
	seen := map[string]int{}
	for role, n := range map[workload.Role]int{workload.Batches: 500, workload.Singles: 5000, workload.Posts: 500} {
		times := map[string]map[string]bool{}
		for _, m := range messages(plan, role, n) {
			check(t, m, seen, times)
		}
	}
	for _, want := range []string{
		"malformed", "unknown_type", "missing", "invalid", "too_far_ahead", "unratable", "too_late", "stray", "account_mismatch", "too_large",
		journal.Unsent, "valid", "again at once", "again in one batch", "again with another time", "binary", "structured", "hot account", "message twice",
	} {
		if seen[want] == 0 {
			t.Errorf("no event is %s: %v", want, seen)
		}
	}
}

// check looks at one message, and notes what it has.
func check(t *testing.T, m *workload.Message, seen map[string]int, times map[string]map[string]bool) {
	t.Helper()
	for _, b := range m.Bad {
		seen[b.Reason]++
	}
	for _, e := range m.Events {
		seen["valid"]++
		if e.Account == workload.Hot {
			seen["hot account"]++
		}
	}
	if m.Twice {
		seen["message twice"]++
	}
	if _, ok := m.Header["ce-id"]; ok {
		seen["binary"]++
		return
	}
	from := len(m.Body) - len(strings.TrimPrefix(string(m.Body), "["))
	if len(m.Items) == 1 && m.Items[0].Bytes == len(m.Body) {
		from = 0
	}
	inOne := map[int]bool{}
	for _, item := range m.Items {
		var event struct{ ID, Time string }
		part := m.Body[from : from+item.Bytes]
		if from += item.Bytes + 1; json.Unmarshal(part, &event) != nil {
			continue
		}
		seen["structured"]++
		if want := fmt.Sprint(item.Number); event.ID != want && event.ID != "again" {
			t.Fatalf("message %d: event %s stands where %s should", m.Index, event.ID, want)
		}
		if inOne[item.Number] {
			seen["again in one batch"]++
		}
		inOne[item.Number] = true
		if times[event.ID] == nil {
			times[event.ID] = map[string]bool{}
		} else if seen["again at once"]++; !times[event.ID][event.Time] {
			seen["again with another time"]++
		}
		times[event.ID][event.Time] = true
	}
}

func TestAGateLetsPassWhatIsAllowed(t *testing.T) {
	g := workload.NewGate(10)
	for range 2 {
		if err := g.Pass(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	shut := make(chan error)
	go func() { shut <- g.Pass(ctx, 1) }()
	cancel()
	if err := <-shut; !errors.Is(err, context.Canceled) {
		t.Errorf("an event passed a shut gate: %v", err)
	}
	g.Allow(20)
	if err := errors.Join(g.Pass(t.Context(), 5), g.Reach(t.Context(), 15)); err != nil || g.Sent() != 15 {
		t.Errorf("%d sent, %v; want 15", g.Sent(), err)
	}
}
