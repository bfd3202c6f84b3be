package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/oracle"
	"github.com/drawdown-credits/drawdown/services/chaos/schedule"
	"github.com/drawdown-credits/drawdown/services/chaos/workload"
	"github.com/drawdown-credits/drawdown/services/internal/holdcheck"
)

// report is what a run prints.
type report struct {
	Seed        uint64       `json:"seed"`
	Legs        []*legReport `json:"legs"`
	Differences int          `json:"differences"`
}

// legReport is what is reported of one leg.
type legReport struct {
	Topology   string                   `json:"topology"`
	Disk       string                   `json:"disk"`
	Sent       int                      `json:"events_sent"` // with every repetition but retries
	Messages   int64                    `json:"messages_sent"`
	Retries    int64                    `json:"retries"`
	Postponed  int64                    `json:"posts_refused_by_a_wrong_clock"`
	Faults     map[schedule.Kind]int    `json:"faults"`
	FaultCount int                      `json:"fault_count"`
	Ends       int                      `json:"services_ended_by_themselves"`
	EndedBy    map[string]string        `json:"endings,omitempty"`
	Forced     int                      `json:"services_killed_because_they_did_not_stop"`
	Revived    int                      `json:"nats_restarts_after_disk_full"`
	Recoveries map[string]recoveryTimes `json:"recoveries"`
	Seconds    struct {
		Start   float64 `json:"start"`
		Produce float64 `json:"produce"`
		Settle  float64 `json:"settle"`
		All     float64 `json:"all"`
	} `json:"seconds"`
	Audit *oracle.Report `json:"audit"`
	Holds struct {
		Requests  int      `json:"requests"`
		Unheard   int      `json:"answers_not_heard"`
		Illegal   []string `json:"accounts_not_linearizable,omitempty"`
		Undecided []string `json:"accounts_not_decided_in_time,omitempty"`
	} `json:"holds"`

	mu        sync.Mutex
	holds     holdcheck.History
	counts    workload.Counts
	began     time.Time
	underWay  map[int]schedule.Fault
	disturbed int // faults so far that stop everybody
	durations map[string][]time.Duration
	logs      string
}

// recoveryTimes are how long partitions stood still after faults of one kind.
type recoveryTimes struct {
	Count  int     `json:"count"`
	Median float64 `json:"median_seconds"`
	Max    float64 `json:"max_seconds"`
}

func newLegReport(l *leg, w *world) *legReport {
	r := &legReport{
		Topology: fmt.Sprintf("%d NATS node(s), %d raters, %d projectors, %d enforcers, %d gateways, ClickHouse",
			l.Nodes, l.Counts["rater"], l.Counts["projector"], l.Counts["enforcer"], l.Counts["gateway"]),
		Disk:   "no file system of its own; a full disk is a refusal to grow files (RLIMIT_FSIZE)",
		Faults: map[schedule.Kind]int{}, EndedBy: map[string]string{}, Recoveries: map[string]recoveryTimes{},
		holds: holdcheck.History{Funds: workload.HoldFunds},
		began: time.Now(), underWay: map[int]schedule.Fault{}, durations: map[string][]time.Duration{},
	}
	if w.nodes[0].disk != nil {
		r.Disk = w.nodes[0].disk.Kind
	}
	return r
}

func (r *legReport) begin(f schedule.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay[f.Number] = f
	if disturbing(f) {
		r.disturbed++
	}
}

// disturbing reports whether a fault stops more than one instance's partitions.
func disturbing(f schedule.Fault) bool {
	return strings.HasPrefix(string(f.Kind), "nats") || f.Kind == schedule.DiskFull || f.Kind == schedule.Producers || f.Kind == schedule.Rolling
}

// disturbances counts the faults so far that stop everybody, and reports
// whether none is under way.
func (r *legReport) disturbances() (count int, none bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.underWay {
		if disturbing(f) {
			return r.disturbed, false
		}
	}
	return r.disturbed, true
}

func (r *legReport) end(f schedule.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underWay, f.Number)
	r.Faults[f.Kind]++
	r.FaultCount++
}

func (r *legReport) recovered(what string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durations[what] = append(r.durations[what], d)
}

// state describes the faults in a few words.
func (r *legReport) state() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var now []string
	for _, n := range slices.Sorted(maps.Keys(r.underWay)) {
		now = append(now, fmt.Sprintf("%s %s", r.underWay[n].Kind, r.underWay[n].Target))
	}
	return fmt.Sprintf("%d faults done; now: %s", r.FaultCount, strings.Join(now, ", "))
}

// holdsMax is how long the check of all holds may take. What is not decided by
// then is reported, and no difference.
const holdsMax = time.Minute

// checkHolds looks for an order of the requests about holds that explains what
// was answered.
func (r *legReport) checkHolds() {
	r.Holds.Requests, r.Holds.Unheard = r.holds.Len()
	r.Holds.Illegal, r.Holds.Undecided = r.holds.Check(holdsMax)
	r.Audit.Unexplained(r.Holds.Illegal)
}

// finish collects what is known at the end.
func (r *legReport) finish(w *world) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Messages, r.Retries, r.Postponed = r.counts.Messages.Load(), r.counts.Retries.Load(), r.counts.Refused.Load()
	for _, s := range w.services {
		if n, how := s.Ends(); n > 0 {
			r.Ends += n
			r.EndedBy[s.Name()] = how
		}
	}
	w.mu.Lock()
	r.Forced, r.Revived = w.forced, w.revive
	w.mu.Unlock()
	for what, times := range r.durations {
		slices.Sort(times)
		r.Recoveries[what] = recoveryTimes{len(times), times[len(times)/2].Seconds(), times[len(times)-1].Seconds()}
	}
	if r.Audit.Differences.Count > 0 {
		r.logs = w.tails()
	}
}

// print writes the report for people.
func (r *report) print(out io.Writer) {
	for _, l := range r.Legs {
		a := l.Audit
		fmt.Fprintf(out, "\n%s (disk: %s)\n", l.Topology, l.Disk)
		fmt.Fprintf(out, "  events      %d sent in %d messages, %d retries; %d messages stored\n", l.Sent, l.Messages, l.Retries, a.Stored)
		fmt.Fprintf(out, "              %d accepted, %d charged, %d duplicates, %d refused, %d dead letters\n", a.Events, a.Charged, a.Duplicates, a.Refused, a.DeadLetters)
		fmt.Fprintf(out, "  credits     %s micro-credits charged to %d accounts; %d corrections; %d ticks\n", a.Charge, a.Accounts, a.Corrections, a.Ticks)
		fmt.Fprintf(out, "  commands    %d given, %d answered; holds of %d requests, %d answers not heard, in an order that explains them; %d accounts not decided in time\n",
			a.Commands, a.Answers, l.Holds.Requests, l.Holds.Unheard, len(l.Holds.Undecided))
		fmt.Fprintf(out, "  signals     %d, of which %d exhausted, %d of budgets, %d requests for top-ups\n", a.Signals, a.Exhausted, a.Budgets, a.TopUps)
		fmt.Fprintf(out, "  faults      %d:", l.FaultCount)
		for _, kind := range slices.Sorted(maps.Keys(l.Faults)) {
			fmt.Fprintf(out, " %d %s,", l.Faults[kind], kind)
		}
		fmt.Fprintf(out, "\n  by the way  services ended by themselves %d times, %d did not stop when asked, NATS was restarted %d times after a full disk; %d posts put off by a wrong clock\n",
			l.Ends, l.Forced, l.Revived, l.Postponed)
		for _, what := range slices.Sorted(maps.Keys(l.Recoveries)) {
			t := l.Recoveries[what]
			fmt.Fprintf(out, "  stood still %-22s %3d times, median %.2f s, longest %.2f s\n", what, t.Count, t.Median, t.Max)
		}
		fmt.Fprintf(out, "  seconds     %.1f in all: %.1f to start, %.1f to send, %.1f to settle and audit\n", l.Seconds.All, l.Seconds.Start, l.Seconds.Produce, l.Seconds.Settle)
		if a.Differences.Count > 0 {
			fmt.Fprintf(out, "\n%s\nDIFFERENCES\n%s", l.logs, a.Differences)
		}
	}
	fmt.Fprintf(out, "\nseed %d: %d differences\n", r.Seed, r.Differences)
}

// write writes the report for machines.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
