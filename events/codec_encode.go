package events

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendStructured appends u to b as one structured CloudEvent. Equal events
// give equal bytes. Its error is the *Problem of an event that is not valid or
// too large; b is then returned as it was.
func AppendStructured(b []byte, u Usage) ([]byte, error) {
	if err := u.Validate(); err != nil {
		return b, err
	}
	start := len(b)
	b = append(b, `{"specversion":"1.0","id":`...)
	b = appendText(b, u.ID)
	b = append(b, `,"source":`...)
	b = appendText(b, u.Source)
	b = append(b, `,"type":"`+TypeUsage+`","subject":`...)
	b = appendText(b, u.Account)
	b = append(b, `,"time":"`...)
	b = u.Time.UTC().AppendFormat(b, timeLayout)
	if !u.Backfill.IsZero() {
		b = append(b, `","`+attributeBackfill+`":"`...)
		b = u.Backfill.UTC().AppendFormat(b, timeLayout)
	}
	b = append(b, `","datacontenttype":"`+ContentTypeJSON+`","data":`...)
	b = append(appendData(b, &u.Data), '}')
	if size := len(b) - start; size > MaxEventBytes {
		return b[:start], tooLarge(size)
	}
	return b, nil
}

// EncodeBatch encodes usages as one batch, for a message of content type
// ContentTypeBatch. It refuses what DecodeBatch would.
func EncodeBatch(usages []Usage) ([]byte, error) {
	if len(usages) == 0 || len(usages) > MaxBatchEvents {
		return nil, problem(CodeTooLarge, "", "found %d events; expected 1 to %d in one batch", len(usages), MaxBatchEvents)
	}
	b := []byte{'['}
	for i, u := range usages {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = AppendStructured(b, u); err != nil {
			return nil, fmt.Errorf("encode event %d of the batch: %w", i, err)
		}
	}
	if b = append(b, ']'); len(b) > MaxBatchBytes {
		return nil, problem(CodeTooLarge, "", "found %d bytes; expected at most %d in one batch", len(b), MaxBatchBytes)
	}
	return b, nil
}

// EncodeBinary encodes u in binary mode: ce- headers, and the data as body.
// Its error is the *Problem of an event that is not valid.
func EncodeBinary(u Usage) (header map[string][]string, body []byte, err error) {
	if err := u.Validate(); err != nil {
		return nil, nil, err
	}
	header = map[string][]string{
		headerPrefix + "specversion": {"1.0"},
		headerPrefix + "id":          {encodeHeader(u.ID)},
		headerPrefix + "source":      {encodeHeader(u.Source)},
		headerPrefix + "type":        {TypeUsage},
		headerPrefix + "subject":     {encodeHeader(u.Account)},
		headerPrefix + "time":        {formatTime(u.Time)},
		HeaderContentType:            {ContentTypeJSON},
	}
	if !u.Backfill.IsZero() {
		header[headerPrefix+attributeBackfill] = []string{formatTime(u.Backfill)}
	}
	return header, appendData(nil, &u.Data), nil
}

// EncodeData encodes d as the data of a usage event: its members in a fixed
// order, names sorted.
func EncodeData(d UsageData) ([]byte, error) {
	var f faults
	if d.check(&f, ""); len(f) > 0 {
		return nil, f.problem()
	}
	return appendData(nil, &d), nil
}

// appendData appends valid data.
func appendData(b []byte, d *UsageData) []byte {
	b = appendText(append(b, `{"operation":`...), d.Operation)
	if d.Status != 0 {
		b = fmt.Appendf(b, `,"status":%d`, d.Status)
	}
	if d.Project != "" {
		b = appendText(append(b, `,"project":`...), d.Project)
	}
	if d.Key != "" {
		b = appendText(append(b, `,"key":`...), d.Key)
	}
	if len(d.Quantities) > 0 {
		b = append(b, `,"quantities":{`...)
		for i, name := range sortedNames(d.Quantities) {
			b = appendName(b, i, name)
			q := d.Quantities[name]
			b = append(appendDecimal(append(b, '"'), q.coefficient, int(q.places)), '"')
		}
		b = append(b, '}')
	}
	if len(d.Attributes) > 0 {
		b = append(b, `,"attributes":{`...)
		for i, name := range sortedNames(d.Attributes) {
			b = appendText(appendName(b, i, name), d.Attributes[name])
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendName(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return append(appendText(b, name), ':')
}

func sortedNames[V any](values map[string]V) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// appendText appends s as a JSON string. Text that is not UTF-8, which valid
// events do not hold, is appended as a byte that is not UTF-8 either.
func appendText(b []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(b, s)
	if err != nil {
		return append(b, 0xff)
	}
	return quoted
}
