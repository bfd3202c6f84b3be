package events

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// headerOriginal is put before an original header that would otherwise mean
// something on the dead letter itself.
const headerOriginal = "Drawdown-Original-"

// DeadLetterHeader returns the header of the DEADLETTER message that keeps d;
// d.Body is its body. d.ID is not part of it: the stream gives it.
func DeadLetterHeader(d DeadLetter) map[string][]string {
	header := make(map[string][]string, len(d.Header)+7)
	for name, values := range d.Header {
		if reserved(name) {
			name = headerOriginal + name
		}
		header[name] = values
	}
	header[HeaderReason] = []string{headerText(d.Reason)}
	header[HeaderDetail] = []string{headerText(d.Detail)}
	header[HeaderSubject] = []string{d.Subject}
	header[HeaderSequence] = []string{strconv.FormatUint(d.Sequence, 10)}
	header[HeaderIndex] = []string{strconv.Itoa(d.Index)}
	header[HeaderStoredAt] = []string{formatTime(d.StoredAt)}
	return header
}

// reserved reports whether a header means something on a dead letter itself:
// NATS acts on Nats- headers, and its clients take an empty message with a
// Status for a word of the server.
func reserved(name string) bool {
	return hasPrefixFold(name, "Nats-") || hasPrefixFold(name, "Drawdown-") ||
		strings.EqualFold(name, "Status") || strings.EqualFold(name, "Description")
}

// ParseDeadLetter reads a DEADLETTER message: its header, body and stream
// sequence. Its error matches ErrInvalid.
func ParseDeadLetter(header map[string][]string, body []byte, sequence uint64) (DeadLetter, error) {
	d := DeadLetter{ID: sequence, Body: body}
	own := make(map[string]string, 6)
	for name, values := range header {
		original, escaped := strings.CutPrefix(name, headerOriginal)
		switch {
		case escaped:
			d.keep(original, values)
		case hasPrefixFold(name, "Drawdown-") && len(values) == 1:
			own[name] = values[0]
		case hasPrefixFold(name, "Nats-"), hasPrefixFold(name, "Drawdown-"): // this message's own
		default:
			d.keep(name, values)
		}
	}
	d.Reason, d.Detail, d.Subject = headerText(own[HeaderReason]), headerText(own[HeaderDetail]), own[HeaderSubject]
	if d.Reason == "" {
		return DeadLetter{}, fmt.Errorf("read dead letter: header %s is absent: %w", HeaderReason, ErrInvalid)
	}
	var err error
	if d.Sequence, err = strconv.ParseUint(own[HeaderSequence], 10, 64); err != nil {
		return DeadLetter{}, badDeadLetter(HeaderSequence, own, "a sequence")
	}
	if d.Index, err = strconv.Atoi(own[HeaderIndex]); err != nil || d.Index < 0 {
		return DeadLetter{}, badDeadLetter(HeaderIndex, own, "an index from 0")
	}
	if err = d.StoredAt.UnmarshalText([]byte(own[HeaderStoredAt])); err != nil {
		return DeadLetter{}, badDeadLetter(HeaderStoredAt, own, "a time in RFC 3339")
	}
	d.StoredAt = d.StoredAt.UTC()
	return d, nil
}

// keep puts a header of the original event back.
func (d *DeadLetter) keep(name string, values []string) {
	if d.Header == nil {
		d.Header = make(map[string][]string)
	}
	d.Header[name] = values
}

func badDeadLetter(name string, own map[string]string, expected string) error {
	return fmt.Errorf("read dead letter: header %s is %s, expected %s: %w", name, clip(own[name]), expected, ErrInvalid)
}

// headerText makes s one line without spaces at its ends, as headers are.
func headerText(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
