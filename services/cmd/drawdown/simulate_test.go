package main

import (
	"testing"
	"time"
)

func TestSinceIsReadAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"30d": "2026-10-23T15:00:00Z", "12h": "2026-11-22T03:00:00Z", "1h30m": "2026-11-22T13:30:00Z",
		"2026-11-01": "2026-11-01T00:00:00Z", "2026-11-01T12:00:00+02:00": "2026-11-01T10:00:00Z",
	} {
		if got, err := parseSince(text, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-3d", "-12h", "0h", "yesterday", "99999d"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q is read as %s; want an error", text, got)
		}
	}
}

func TestABarIsAsLongAsWhatIsDone(t *testing.T) {
	t.Parallel()
	for done, want := range map[uint64]string{
		0:   "[                                        ]   0 % of 200",
		50:  "[##########                              ]  25 % of 200",
		300: "[########################################] 100 % of 200",
	} {
		if got := bar(done, 200); got != want {
			t.Errorf("bar of %d is %q, want %q", done, got, want)
		}
	}
}
