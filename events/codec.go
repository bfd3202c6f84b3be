package events

import (
	"mime"
	"strconv"
	"strings"
)

// Media types of usage events and signals.
const (
	ContentTypeEvent = "application/cloudevents+json"
	ContentTypeBatch = "application/cloudevents-batch+json"
	ContentTypeJSON  = "application/json"

	// HeaderContentType is the header that names the media type of a message.
	HeaderContentType = "Content-Type"
)

// Item is one usage event as it was received: decoded, or refused.
type Item struct {
	Usage Usage // valid when Err is nil
	// Raw is the event as received: the body, or its element of a batch. It
	// aliases the message.
	Raw []byte
	// Err says what is wrong with the event; nil when nothing is.
	Err *Problem
}

// DecodeMessage decodes the USAGE message published on, or stored under,
// subject, in any CloudEvents mode, for an installation of n partitions. It
// returns the message's events in order, at least one; a message that cannot
// be taken apart is one refused Item with the whole body. An event must belong
// where the subject says: to its account, or to its partition.
func DecodeMessage(subject string, header map[string][]string, body []byte, n int) []Item {
	refuse := func(p *Problem) []Item { return []Item{{Raw: body, Err: p}} }
	account, batch, err := ParseUsageSubject(subject)
	if err != nil {
		return refuse(problem(CodeMalformed, "", "%v", err))
	}
	mode, p := messageMode(header, batch)
	if p != nil {
		return refuse(p)
	}
	var item Item
	switch mode {
	case modeBatch:
		items, p := DecodeBatch(body)
		if p != nil {
			return refuse(p)
		}
		checkPartition(items, subject, n)
		return items
	case modeBinary:
		item = DecodeBinary(header, body)
	default:
		item = DecodeEvent(body)
	}
	if item.Err == nil && item.Usage.Account != account {
		item.Err = problem(CodeAccountMismatch, pathSubject, "found %s; expected %s, the account of NATS subject %s",
			clip(item.Usage.Account), clip(account), clip(subject))
	}
	return []Item{item}
}

// checkPartition refuses the events of a batch that belong elsewhere.
func checkPartition(items []Item, subject string, n int) {
	partition, err := strconv.Atoi(subject[strings.LastIndexByte(subject, '.')+1:])
	for i := range items {
		item := &items[i]
		if item.Err != nil {
			continue
		}
		switch own := Partition(item.Usage.Account, n); {
		case err != nil:
			item.Err = problem(CodeStray, pathSubject, "NATS subject %s names no partition", clip(subject))
		case own != partition:
			item.Err = problem(CodeStray, pathSubject, "account %s is of partition %d of %d; expected partition %d, as NATS subject %s says",
				clip(item.Usage.Account), own, n, partition, clip(subject))
		}
	}
}

type mode int

const (
	modeStructured mode = iota
	modeBinary
	modeBatch
)

// messageMode tells how a NATS message carries its events. A message without
// content type and ce- headers is JSON: one event, or a batch on a batch
// subject.
func messageMode(header map[string][]string, batch bool) (mode, *Problem) {
	contentType, binary := "", false
	for name, values := range header {
		switch {
		case len(values) > 0 && strings.EqualFold(name, HeaderContentType):
			contentType = values[0]
		case hasPrefixFold(name, headerPrefix):
			binary = true
		}
	}
	found := modeStructured
	switch {
	case isMediaType(contentType, ContentTypeBatch):
		found = modeBatch
	case isMediaType(contentType, ContentTypeEvent):
	case hasPrefixFold(contentType, "application/cloudevents"):
		return 0, problem(CodeMalformed, "", "found content type %s; expected %s or %s", clip(contentType), ContentTypeEvent, ContentTypeBatch)
	case binary:
		found = modeBinary
	case contentType != "":
		return 0, problem(CodeMalformed, "", "found content type %s without ce- headers; expected those, or content type %s", clip(contentType), ContentTypeEvent)
	case batch:
		found = modeBatch
	}
	if batch != (found == modeBatch) {
		return 0, problem(CodeMalformed, "", "a batch is published on usage.batch.<partition> with content type %s, a single event on usage.<account>", ContentTypeBatch)
	}
	return found, nil
}

// isMediaType reports whether contentType is want, whatever its parameters; a
// charset, if given, must be UTF-8.
func isMediaType(contentType, want string) bool {
	if contentType == want {
		return true
	}
	if !hasPrefixFold(contentType, want) {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	return err == nil && mediaType == want && (!given || strings.EqualFold(charset, "utf-8"))
}

// isJSON reports whether contentType names JSON: application/json, or anything
// with the suffix +json.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == ContentTypeJSON {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if charset, given := params["charset"]; err != nil || given && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return mediaType == ContentTypeJSON || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
