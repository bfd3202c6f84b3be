package importer_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/importer"
)

func readAll(t *testing.T, r importer.Reader) (usages []events.Usage, bad map[int]string) {
	t.Helper()
	bad = map[int]string{}
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return usages, bad
		}
		if err != nil {
			t.Fatal(err)
		}
		if record.Err != nil {
			bad[record.Line] = record.Err.Error()
			continue
		}
		usages = append(usages, record.Usage)
	}
}

const logLine = `83.149.9.216 - - [17/May/2015:10:05:03 +0200] "GET /a/b.png?size=2 HTTP/1.1" 200 203023 "http://x/" "Mozilla/5.0"`

func TestCombinedReadsWhatARequestUsed(t *testing.T) {
	tests := map[string]struct {
		line string
		want events.Usage
	}{
		"takes address, method, path, status and bytes": {
			line: logLine,
			want: events.Usage{Account: "83-149-9-216", Time: time.Date(2015, 5, 17, 8, 5, 3, 0, time.UTC), Data: events.UsageData{
				Operation: "GET /a/b.png", Status: 200, Quantities: map[string]events.Quantity{"bytes_out": events.MustQuantity("203023")},
			}},
		},
		"takes bytes of - as none": {
			line: `10.0.0.1 - bob [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 304 -`,
			want: events.Usage{Account: "10-0-0-1", Time: time.Date(2015, 5, 17, 10, 5, 3, 0, time.UTC), Data: events.UsageData{Operation: "HEAD /", Status: 304}},
		},
		"takes an IPv6 address in its shortest form": {
			line: `2001:0db8:0:0::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 0 "-" "-"`,
			want: events.Usage{Account: "2001-db8--1", Time: time.Date(2015, 5, 17, 10, 5, 3, 0, time.UTC), Data: events.UsageData{
				Operation: "GET /", Status: 200, Quantities: map[string]events.Quantity{"bytes_out": {}},
			}},
		},
		"does not look behind the bytes": {
			line: `10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 - "-" "cut off (`,
			want: events.Usage{Account: "10-0-0-1", Time: time.Date(2015, 5, 17, 10, 5, 3, 0, time.UTC), Data: events.UsageData{Operation: "GET /", Status: 200}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			usages, bad := readAll(t, importer.NewCombined(strings.NewReader(tt.line), "", importer.Shift{}))
			if len(bad) > 0 || len(usages) != 1 {
				t.Fatalf("got %d events, refused %v", len(usages), bad)
			}
			tt.want.Source, tt.want.ID = importer.SourceCombined, usages[0].ID
			if diff := cmp.Diff(tt.want, usages[0], cmp.AllowUnexported(events.Quantity{})); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMalformedLinesAreReportedWithTheirNumberAndDoNotStopTheRest(t *testing.T) {
	file := strings.Join([]string{
		logLine,
		"",
		"not a log line",
		strings.Replace(logLine, "17/May", "99/May", 1),
		strings.Replace(logLine, "GET /a/b.png?size=2 HTTP/1.1", "-", 1),
		strings.Replace(logLine, "203023", "99999999999999999999", 1),
		strings.Repeat("x", 1<<20+1),
		strings.Replace(logLine, "83.149.9.216", "a/b", 1),
		logLine + "\r",
	}, "\n")
	usages, bad := readAll(t, importer.NewCombined(strings.NewReader(file), "", importer.Shift{}))
	if len(usages) != 2 {
		t.Errorf("%d events; want 2", len(usages))
	}
	for line, want := range map[int]string{3: "combined log format", 4: "time", 5: "request", 6: "bytes", 7: "longer than", 8: "subject"} {
		if !strings.Contains(bad[line], want) {
			t.Errorf("line %d: %q; want something about %q", line, bad[line], want)
		}
	}
	if len(bad) != 6 {
		t.Errorf("%d lines refused; want 6: %v", len(bad), bad)
	}
}

func TestIdsDependOnContentAndPositionAlone(t *testing.T) {
	file := logLine + "\n" + logLine + "\n"
	first, _ := readAll(t, importer.NewCombined(strings.NewReader(file), "", importer.Shift{}))
	again, _ := readAll(t, importer.NewCombined(strings.NewReader(file+logLine), "", importer.Shift{By: time.Hour}))
	if first[0].ID == first[1].ID {
		t.Error("the same request on two lines has one id; it happened twice")
	}
	if first[0].ID != again[0].ID || first[1].ID != again[1].ID {
		t.Error("a grown, shifted file gives its old lines new ids; they would count twice")
	}
}

func TestTimesAreShiftedBeforeTheyAreSelected(t *testing.T) {
	shift := importer.Shift{By: 24 * time.Hour, Since: time.Date(2015, 5, 18, 8, 5, 3, 0, time.UTC)}
	later, _ := readAll(t, importer.NewCombined(strings.NewReader(logLine), "", shift))
	if len(later) != 1 || !later[0].Time.Equal(shift.Since) {
		t.Errorf("an event shifted to the bound: %v; want it kept", later)
	}
	shift.Since = shift.Since.Add(time.Nanosecond)
	if none, _ := readAll(t, importer.NewCombined(strings.NewReader(logLine), "", shift)); len(none) != 0 {
		t.Errorf("an event before the bound: %v; want it left out", none)
	}
}

func TestCSVReadsNamedColumns(t *testing.T) {
	file := "TIMESTAMP,Tokens,Who,Model\r\n2023-11-16 18:17:03.9799600,4808,acme,large\r\n2023-11-16 18:17:04,x,acme,large\r\n\"2023-11-16 18:17:05\",7,acme\r\n2023-11-16 18:17:06,8,umbrella,small"
	reader, err := importer.NewCSV(strings.NewReader(file), "urn:me", importer.Columns{
		AccountColumn: "Who", Operation: "POST /v1/llm", Time: "TIMESTAMP", Quantities: []string{"Tokens"}, Attributes: []string{"Model"},
	}, importer.Shift{})
	if err != nil {
		t.Fatal(err)
	}
	usages, bad := readAll(t, reader)
	if len(usages) != 2 || len(bad) != 2 || !strings.Contains(bad[3], "Tokens") || !strings.Contains(bad[4], "3 fields") {
		t.Fatalf("%d events, refused %v", len(usages), bad)
	}
	want := events.Usage{
		Source: "urn:me", ID: usages[0].ID, Account: "acme", Time: time.Date(2023, 11, 16, 18, 17, 3, 979960000, time.UTC),
		Data: events.UsageData{Operation: "POST /v1/llm", Attributes: map[string]string{"Model": "large"},
			Quantities: map[string]events.Quantity{"Tokens": events.MustQuantity("4808")}},
	}
	if diff := cmp.Diff(want, usages[0], cmp.AllowUnexported(events.Quantity{})); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestCSVRefusesColumnsThatAreNotThere(t *testing.T) {
	_, err := importer.NewCSV(strings.NewReader("a,b\n"), "", importer.Columns{Account: "x", Operation: "y", Time: "when"}, importer.Shift{})
	if err == nil || !strings.Contains(err.Error(), `"when"`) || !strings.Contains(err.Error(), "a, b") {
		t.Errorf("NewCSV: %v; want an error that names the column and the header", err)
	}
	_, err = importer.NewCSV(strings.NewReader("a,b\n"), "", importer.Columns{Operation: "y", Time: "a"}, importer.Shift{})
	if err == nil || !strings.Contains(err.Error(), "--account") {
		t.Errorf("NewCSV without an account: %v", err)
	}
}

func TestCloudEventsReadsOneEventALine(t *testing.T) {
	event := `{"specversion":"1.0","type":"drawdown.usage.v1","source":"/svc","id":"1","subject":"acme","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","data":{"operation":"GET /"}}`
	usages, bad := readAll(t, importer.NewCloudEvents(strings.NewReader(event+"\n{\n"), importer.Shift{}))
	if len(usages) != 1 || usages[0].ID != "1" || usages[0].Account != "acme" || bad[2] == "" {
		t.Errorf("events %v, refused %v", usages, bad)
	}
}

func FuzzCombined(f *testing.F) {
	f.Add([]byte(logLine))
	f.Add([]byte("\n\r\n\"\\\""))
	f.Fuzz(func(t *testing.T, file []byte) {
		readAll(t, importer.NewCombined(strings.NewReader(string(file)), "", importer.Shift{}))
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("t,q\n2023-11-16 18:17:04,1\n"))
	f.Add([]byte("t,q\n\"2023"))
	f.Fuzz(func(t *testing.T, file []byte) {
		reader, err := importer.NewCSV(strings.NewReader(string(file)), "", importer.Columns{Account: "a", Operation: "o", Time: "t", Quantities: []string{"q"}}, importer.Shift{})
		if err == nil {
			readAll(t, reader)
		}
	})
}
