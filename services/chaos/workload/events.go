package workload

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// source is the CloudEvents source of a producer.
func source(producer int) string { return "/chaos/" + strconv.Itoa(producer) }

// Projects and regions, which the number of an event chooses among.
var (
	projects = []string{"p0", "p1", "p2", "p3"}
	regions  = []string{"eu", "us", "ap"}
)

// Project is the project of an event.
func Project(id journal.ID) string { return projects[id.Number%len(projects)] }

// Region is the region of an event.
func Region(id journal.ID) string { return regions[id.Number%len(regions)] }

// timeOf writes an event's time.
func timeOf(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z")
}

// dataOf is the data of an event. One quantity in two is a JSON number.
func dataOf(b []byte, e journal.Event) []byte {
	b = append(strconv.AppendQuote(append(b, `{"operation":`...), e.Operation), `,"status":`...)
	b = append(append(strconv.AppendInt(b, int64(e.Status), 10), `,"project":"`...), Project(e.ID)...)
	b = append(b, `","key":"k`...)
	b = append(strconv.AppendInt(b, int64(e.Producer), 10), '-') // no two events have the same data
	b = append(strconv.AppendInt(b, int64(e.Number), 10), `","quantities":{`...)
	switch e.Operation {
	case Chat:
		b = append(strconv.AppendInt(append(b, `"tokens_in":"`...), e.A, 10), `","tokens_out":`...)
		b = strconv.AppendInt(b, e.B, 10)
	case Files:
		b = strconv.AppendInt(append(b, `"bytes_out":`...), e.A, 10)
	case Odd, Render:
		b = append(strconv.AppendInt(append(b, `"units":"`...), e.A, 10), '"')
	}
	b = append(append(b, `},"attributes":{"region":"`...), Region(e.ID)...)
	return append(b, `"}}`...)
}

// structured is an event in structured mode.
func structured(e journal.Event) []byte {
	b := make([]byte, 0, 400)
	b = append(b, `{"specversion":"1.0","type":"drawdown.usage.v1","source":"`...)
	b = append(append(b, source(e.Producer)...), `","id":"`...)
	b = append(strconv.AppendInt(b, int64(e.Number), 10), `","subject":"`...)
	b = append(append(b, e.Account...), `","time":"`...)
	b = append(append(b, timeOf(e.Micros)...), `","datacontenttype":"application/json","data":`...)
	return append(dataOf(b, e), '}')
}

// binary is an event in binary mode: its headers, and its data as the body.
func binary(e journal.Event) (header map[string]string, body []byte) {
	return map[string]string{
		"ce-specversion": "1.0", "ce-type": "drawdown.usage.v1", "ce-source": source(e.Producer),
		"ce-id": strconv.Itoa(e.Number), "ce-subject": e.Account, "ce-time": timeOf(e.Micros), "Content-Type": "application/json",
	}, dataOf(nil, e)
}

// Ways to spoil an event. Each names the reason that its dead letter must give.
var (
	// everywhere: also for a single event, and for one that is posted.
	spoiledAnywhere = []spoiler{
		{"malformed", func(text string, _ journal.Event) string {
			return strings.Replace(text, `"status":200`, `"status":`, 1)
		}},
		{"malformed", func(text string, _ journal.Event) string {
			return strings.Replace(text, `"subject":`, `"id":"again","subject":`, 1)
		}},
		{"unknown_type", func(text string, _ journal.Event) string { return strings.Replace(text, "usage.v1", "usage.v7", 1) }},
		{"missing", func(text string, e journal.Event) string {
			return strings.Replace(text, fmt.Sprintf(`"subject":%q,`, e.Account), "", 1)
		}},
		{"invalid", func(text string, _ journal.Event) string {
			return strings.Replace(text, `"status":200`, `"status":99`, 1)
		}},
		{"invalid", func(text string, _ journal.Event) string {
			return strings.Replace(text, `"project":`, `"projekt":`, 1)
		}},
		{"too_far_ahead", func(text string, e journal.Event) string {
			return strings.Replace(text, timeOf(e.Micros), timeOf(e.Micros+(30*time.Hour).Microseconds()), 1)
		}},
	}
	// behind the door: what only the rater can tell.
	spoiledBehind = []spoiler{
		{"unratable", func(text string, e journal.Event) string {
			return strings.Replace(text, strconv.Quote(e.Operation), strconv.Quote(Brew), 1)
		}},
		{"too_late", func(text string, e journal.Event) string {
			return strings.Replace(text, timeOf(e.Micros), timeOf(e.Micros-(200*time.Hour).Microseconds()), 1)
		}},
	}
	oversized = spoiler{"too_large", func(text string, _ journal.Event) string {
		return strings.Replace(text, `"region":"`, `"region":"`+strings.Repeat("x", 66<<10), 1)
	}}
)

type spoiler struct {
	reason string
	spoil  func(text string, e journal.Event) string
}
