package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

// installationOf is a status of two partitions, which spoil may spoil.
func installationOf(spoil func(s *gateway.Status)) gateway.Status {
	since := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	partition := func(number int, owner, state string, sequence uint64) gateway.PartitionStatus {
		return gateway.PartitionStatus{Partition: number, Owner: owner, Since: since, State: state, Sequence: sequence}
	}
	s := gateway.Status{
		Partitions: 2, State: "live",
		Services: []gateway.ServiceStatus{
			{Service: "rater", Partitions: []gateway.PartitionStatus{partition(0, "web-1", "live", 10), partition(1, "web-2", "live", 20)}},
			{Service: "balances", Partitions: []gateway.PartitionStatus{partition(0, "web-1", "live", 11), partition(1, "web-1", "live", 11)}},
			{Service: "enforcer", Partitions: []gateway.PartitionStatus{partition(0, "web-2", "live", 5), partition(1, "web-2", "live", 5)}},
			{Service: "clickhouse", Partitions: []gateway.PartitionStatus{partition(0, "web-1", "live", 11)}},
		},
		Instances: []gateway.InstanceStatus{
			{Instance: "web-1", Since: since, Partitions: map[string]int{"rater": 1, "balances": 2, "clickhouse": 1}},
			{Instance: "web-2", Since: since, Partitions: map[string]int{"rater": 1, "enforcer": 2, "clickhouse": 0}},
		},
		Streams: []gateway.StreamStatus{{Stream: "USAGE", Messages: 20, Bytes: 3 << 20, First: 1, Last: 20, LastAt: since}},
	}
	if spoil != nil {
		spoil(&s)
	}
	return s
}

// statusOf runs the command against a gateway that answers s.
func statusOf(t *testing.T, s gateway.Status, args ...string) (string, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/status" {
			t.Errorf("asked %s", r.URL.Path)
		}
		if err := json.NewEncoder(w).Encode(s); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	a := &app{out: &out, errs: &out}
	root, err := a.root()
	if err != nil {
		t.Fatal(err)
	}
	root.SetArgs(append([]string{"status", "--url", server.URL, "--data", t.TempDir()}, args...))
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestStatusShowsTheServicesSideBySide(t *testing.T) {
	out, err := statusOf(t, installationOf(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := `PARTITION  RATER  AT  BALANCES  AT  ENFORCER  AT
0          web-1  10  web-1     11  web-2     5
1          web-2  20  web-1     11  web-2     5

ClickHouse is written by web-1, at 11 of LEDGER.

INSTANCE  RATER  BALANCES  ENFORCER  CLICKHOUSE  SINCE
web-1     1      2         -         1           2026-11-22 09:00:00Z
web-2     1      -         2         0           2026-11-22 09:00:00Z

STREAM  MESSAGES  BYTES    FIRST  LAST  LAST AT
USAGE   20        3.0 MiB  1      20    2026-11-22 09:00:00Z

2 partitions, 2 instances, all live; lag 0
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestStatusSaysWhatIsWrongAndExitsWithOne(t *testing.T) {
	tests := map[string]struct {
		spoil  func(s *gateway.Status)
		says   []string
		passes bool
	}{
		"a partition that stopped": {
			spoil: func(s *gateway.Status) {
				p := &s.Services[1].Partitions[1]
				p.State, p.Error, p.Lag = "stopped", "message 9 cannot be read", 3
			},
			says: []string{"11 (3 behind) stopped", "partition 1: balances has stopped: message 9 cannot be read", "1 stopped; lag 3"},
		},
		"a service nobody runs": {
			spoil: func(s *gateway.Status) {
				for i := range s.Services[2].Partitions {
					s.Services[2].Partitions[i].Owner = ""
				}
			},
			says: []string{"nobody    -", "partition 0-1: enforcer is without an owner", "2 without an owner"},
		},
		"ClickHouse with rows of a partition stopped": {
			spoil: func(s *gateway.Status) { s.Services[3].Partitions[0].Error = "partition 1 stopped at 9" },
			says:  []string{"clickhouse has stopped: partition 1 stopped at 9", "1 stopped"},
		},
		"a partition that is tried again": {
			spoil: func(s *gateway.Status) {
				p := &s.Services[0].Partitions[0]
				p.State, p.Error = "retrying", "no answer"
			},
			says:   []string{"10 retrying", "partition 0: rater is retrying: no answer", "1 on the way"},
			passes: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{"text", "json"} {
				out, err := statusOf(t, installationOf(test.spoil), "-o", format)
				if passes := err == nil; passes != test.passes || err != nil && !errors.Is(err, errReported) {
					t.Errorf("-o %s ends with %v", format, err)
				}
				if format == "json" {
					var s gateway.Status
					if err := json.Unmarshal([]byte(out), &s); err != nil {
						t.Errorf("-o json: %v\n%s", err, out)
					}
					continue
				}
				for _, want := range test.says {
					if !strings.Contains(out, want) {
						t.Errorf("lacks %q:\n%s", want, out)
					}
				}
			}
		})
	}
}

func TestRangesAreWrittenShort(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "3": {3}, "0-2": {0, 1, 2}, "0-1, 3, 5-6": {0, 1, 3, 5, 6}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q; want %q", numbers, got, want)
		}
	}
}
