package events

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// attributeBackfill is the CloudEvents extension attribute of Usage.Backfill.
const attributeBackfill = "drawdownbackfill"

// headerPrefix begins the headers that carry CloudEvents attributes.
const headerPrefix = "ce-"

// DecodeBinary decodes one CloudEvent in binary mode: attributes in ce- headers
// of any case, percent-encoded as the HTTP and NATS bindings say; the body is
// the data.
func DecodeBinary(header map[string][]string, body []byte) Item {
	if len(body) > MaxEventBytes {
		return Item{Raw: body, Err: tooLarge(len(body))}
	}
	var e envelope
	for name, values := range header {
		e.header(name, values)
	}
	if len(e.faults) > 1 { // in the map's order
		slices.SortFunc(e.faults, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	}
	if len(body) > 0 {
		e.decodeData(body, pathData)
	}
	return Item{Usage: e.usage, Raw: body, Err: e.problem()}
}

// header reads one header; those that are neither the content type nor an
// attribute mean nothing here.
func (e *envelope) header(name string, values []string) {
	attribute := "datacontenttype"
	if !strings.EqualFold(name, HeaderContentType) {
		if !hasPrefixFold(name, headerPrefix) {
			return
		}
		attribute = strings.ToLower(name[len(headerPrefix):])
	}
	path := "/" + escapePointer(attribute)
	if len(values) != 1 {
		e.faults.add(CodeMalformed, path, "found %d values of header %s; expected one", len(values), clip(name))
		return
	}
	value, ok := decodeHeader(values[0])
	if !ok {
		e.faults.add(CodeMalformed, path, "found %s in header %s; expected percent-encoded UTF-8", clip(values[0]), clip(name))
		return
	}
	to := e.attribute(attribute)
	switch {
	case attribute == "datacontenttype":
		if !isJSON(value) {
			e.contentType = value
		}
	case to == nil && !validExtension(attribute):
		e.faults.add(CodeInvalid, path, "unknown attribute %s; expected CloudEvents attributes: a–z 0–9, at most %d", clip(attribute), MaxNameBytes)
	case to == nil:
	case *to != "":
		e.faults.add(CodeMalformed, path, "found header %s twice; expected it once", clip(headerPrefix+attribute))
	default:
		*to = value
	}
}

// attribute returns where the text of a CloudEvents attribute belongs, nil for
// one that is not ours.
func (e *envelope) attribute(name string) *string {
	switch name {
	case "specversion":
		return &e.specVersion
	case "type":
		return &e.eventType
	case "id":
		return &e.usage.ID
	case "source":
		return &e.usage.Source
	case "subject":
		return &e.usage.Account
	case "time":
		return &e.time
	case "datacontenttype":
		return &e.contentType
	case attributeBackfill:
		return &e.backfill
	}
	return nil
}

// decodeHeader returns the text that a header value of a CloudEvent stands for:
// unquoted when it is a quoted string, then percent-decoded once. It refuses
// percent signs that encode nothing and bytes that are not UTF-8.
func decodeHeader(value string) (string, bool) {
	if strings.HasPrefix(value, `"`) {
		var ok bool
		if value, ok = unquoteHeader(value); !ok {
			return "", false
		}
	}
	if strings.IndexByte(value, '%') < 0 {
		return value, utf8.ValidString(value)
	}
	decoded := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '%' {
			if i+2 >= len(value) {
				return "", false
			}
			high, low := unhex(value[i+1]), unhex(value[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		decoded = append(decoded, c)
	}
	return string(decoded), utf8.Valid(decoded)
}

// unquoteHeader unquotes a quoted string of RFC 9110.
func unquoteHeader(value string) (string, bool) {
	plain := make([]byte, 0, len(value))
	for i := 1; i < len(value); i++ {
		switch c := value[i]; c {
		case '"':
			return string(plain), i == len(value)-1
		case '\\':
			if i++; i == len(value) {
				return "", false
			}
			plain = append(plain, value[i])
		default:
			plain = append(plain, c)
		}
	}
	return "", false
}

// encodeHeader percent-encodes text as a header value: everything outside the
// printable ASCII characters, the space, the double quote and the percent sign.
func encodeHeader(text string) string {
	const digits = "0123456789ABCDEF"
	var b []byte
	for i := range len(text) {
		c := text[i]
		if c > ' ' && c < 0x7f && c != '"' && c != '%' {
			if b != nil {
				b = append(b, c)
			}
			continue
		}
		if b == nil {
			b = append(make([]byte, 0, len(text)+16), text[:i]...)
		}
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	if b == nil {
		return text
	}
	return string(b)
}
