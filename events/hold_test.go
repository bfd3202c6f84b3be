package events_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
)

func TestAHoldIsCheckedBeforeItIsPlaced(t *testing.T) {
	attributes := map[string]string{"team": "a"}
	for name, test := range map[string]struct {
		hold events.Hold
		path string // of the problem; "-" for none
	}{
		"an id and an amount are enough":         {events.Hold{ID: "h", Amount: 1}, "-"},
		"all of it may be given":                 {events.Hold{ID: "h", Amount: 1, ExpiresIn: events.Duration(time.Hour), Project: "p", Key: "k", Attributes: attributes}, "-"},
		"24 hours are the longest":               {events.Hold{ID: "h", Amount: 1, ExpiresIn: events.Duration(24 * time.Hour)}, "-"},
		"without an id":                          {events.Hold{Amount: 1}, "/id"},
		"an id that a path cannot have":          {events.Hold{ID: "a/b", Amount: 1}, "/id"},
		"nothing":                                {events.Hold{ID: "h"}, "/amount"},
		"less than nothing":                      {events.Hold{ID: "h", Amount: -1}, "/amount"},
		"more than any account has":              {events.Hold{ID: "h", Amount: events.MaxCredits + 1}, "/amount"},
		"longer than a day":                      {events.Hold{ID: "h", Amount: 1, ExpiresIn: events.Duration(24*time.Hour + 1)}, "/expires_in"},
		"back in time":                           {events.Hold{ID: "h", Amount: 1, ExpiresIn: events.Duration(-time.Second)}, "/expires_in"},
		"for less than the ledger tells apart":   {events.Hold{ID: "h", Amount: 1, ExpiresIn: 1}, "/expires_in"},
		"a project with control characters":      {events.Hold{ID: "h", Amount: 1, Project: "\n"}, "/project"},
		"a key that is too long":                 {events.Hold{ID: "h", Amount: 1, Key: strings.Repeat("k", 2000)}, "/key"},
		"an attribute that cannot be named":      {events.Hold{ID: "h", Amount: 1, Attributes: map[string]string{"1": "x"}}, "/attributes/1"},
		"an attribute with control characters":   {events.Hold{ID: "h", Amount: 1, Attributes: map[string]string{"a": "\x00"}}, "/attributes/a"},
		"text that is not UTF-8 in an attribute": {events.Hold{ID: "h", Amount: 1, Attributes: map[string]string{"a": "\xff"}}, "/attributes/a"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, test.hold.Validate(), test.path) })
	}
	for name, test := range map[string]struct {
		err  error
		path string
	}{
		"a capture":                       {events.Capture{Hold: "h", Amount: 1}.Validate(), "-"},
		"a capture of nothing":            {events.Capture{Hold: "h"}.Validate(), "/amount"},
		"a capture of less than nothing":  {events.Capture{Hold: "h", Amount: -1}.Validate(), "/amount"},
		"a capture of no hold":            {events.Capture{Amount: 1}.Validate(), "/hold"},
		"a release":                       {events.Release{Hold: "h"}.Validate(), "-"},
		"a release of what cannot be one": {events.Release{Hold: " "}.Validate(), "/hold"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, test.err, test.path) })
	}
}

func wantProblem(t *testing.T, err error, path string) {
	t.Helper()
	var p *events.Problem
	switch {
	case path == "-" && err != nil:
		t.Errorf("refused: %v", err)
	case path != "-" && (!errors.As(err, &p) || p.Path != path || !errors.Is(err, events.ErrInvalid)):
		t.Errorf("%v; want a problem at %s", err, path)
	}
}

func TestADurationIsWrittenWithItsUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond,
	} {
		var d, again events.Duration
		if err := json.Unmarshal([]byte(`"`+text+`"`), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s is read as %s, %v", text, d, err)
		}
		written, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil || again != d {
			t.Errorf("%s is written as %s and read as %s, %v", text, written, again, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 24 * time.Hour: "24h", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 0: "0s"} {
		if got := events.Duration(d).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, text := range []string{`""`, `"60"`, `"PT1M"`, `60`, `"1d"`} {
		var d events.Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is read as %s", text, d)
		}
	}
}
