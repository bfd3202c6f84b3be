package gateway

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/drawdown-credits/drawdown/events"
)

// faultsMax bounds the faults listed of one request. Past it only the first of
// each bad event is.
const faultsMax = 1000

const acceptedTypes = events.ContentTypeEvent + ", " + events.ContentTypeBatch +
	" or, with ce- headers, " + events.ContentTypeJSON

// accept decodes the usage events of a request in any CloudEvents mode and
// judges them at time now. Either all are valid, or the problem names what is
// wrong with each that is not.
func accept(header http.Header, body []byte, now time.Time, maxAhead, horizon time.Duration) ([]events.Usage, *Problem) {
	items, p := decode(header, body)
	if p != nil {
		return nil, p
	}
	usages := make([]events.Usage, len(items))
	bad := 0
	for i := range items {
		item := &items[i]
		if item.Err == nil {
			item.Err = checkTime(item.Usage, now, maxAhead, horizon)
		}
		if item.Err != nil {
			bad++
		}
		usages[i] = item.Usage
	}
	if bad > 0 {
		return nil, refuse(items, bad, body)
	}
	return usages, nil
}

// checkTime refuses what a rater would: better now than by a dead letter. A
// backfill is for whoever has looked into the ledger, which no caller of HTTP
// can.
func checkTime(u events.Usage, now time.Time, maxAhead, horizon time.Duration) *events.Problem {
	if !u.Backfill.IsZero() {
		return &events.Problem{
			Code: events.CodeInvalid, Path: "/drawdownbackfill",
			Detail: "found a backfill; expected none over HTTP: use drawdown import, which looks into the ledger",
		}
	}
	if p := events.CheckTime(u, now, maxAhead); p != nil {
		return p
	}
	return events.CheckAge(u, now, horizon, maxAhead)
}

// decode tells the mode and takes the request apart. Its problem is of the
// request as a whole.
func decode(header http.Header, body []byte) ([]events.Item, *Problem) {
	contentType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && header.Get("Content-Type") != "" {
		contentType = "" // what it says cannot be read
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return nil, newProblem(http.StatusUnsupportedMediaType, "found the charset %s; expected utf-8", clip(charset))
	}
	switch {
	case contentType == events.ContentTypeBatch:
		items, p := events.DecodeBatch(body)
		if p != nil {
			return nil, refuse([]events.Item{{Err: p}}, 1, body)
		}
		return items, nil
	case contentType == events.ContentTypeEvent:
		return []events.Item{events.DecodeEvent(body)}, nil
	case !strings.HasPrefix(contentType, "application/cloudevents") && isBinary(header):
		return []events.Item{events.DecodeBinary(header, body)}, nil
	}
	return nil, newProblem(http.StatusUnsupportedMediaType, "found the content type %q; expected %s",
		clip(header.Get("Content-Type")), acceptedTypes)
}

func isBinary(header http.Header) bool {
	for name := range header {
		if strings.HasPrefix(name, "Ce-") {
			return true
		}
	}
	return false
}

// refuse lists every bad event. A body that is not JSON at all is answered 400,
// one that is too large 413, anything else that is wrong 422.
func refuse(items []events.Item, bad int, body []byte) *Problem {
	status, detail := http.StatusUnprocessableEntity, "nothing was stored: some usage events are not valid"
	whole := len(items) == 1 && items[0].Err.Path == ""
	switch {
	case whole && items[0].Err.Code == events.CodeTooLarge:
		status, detail = http.StatusRequestEntityTooLarge, "nothing was stored: the request is too large"
	case len(body) > 0 && !jsontext.Value(body).IsValid():
		status, detail = http.StatusBadRequest, "nothing was stored: the body is not strict JSON in UTF-8 without duplicate names"
	}
	p := newProblem(status, "%s", detail)
	p.Errors = make([]Fault, 0, bad)
	for i := range items {
		if items[i].Err != nil {
			p.Errors = appendFaults(p.Errors, i, &items[i])
		}
	}
	return p
}

func appendFaults(faults []Fault, index int, item *events.Item) []Fault {
	fault := func(p *events.Problem) Fault {
		return Fault{Index: &index, ID: clip(item.Usage.ID), Path: p.Path, Code: p.Code, Detail: p.Detail}
	}
	faults = append(faults, fault(item.Err))
	for i := range item.Err.Also {
		if len(faults) >= faultsMax {
			break
		}
		faults = append(faults, fault(&item.Err.Also[i]))
	}
	return faults
}
