package events

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid marks input that can never succeed, however often it is sent: the
// caller answers with the reason, or dead-letters it. Any other error means
// unknown, and unknown means retry.
var ErrInvalid = errors.New("invalid")

// Problem is one fault found in input: what is wrong, where, and what was
// expected. It matches ErrInvalid.
type Problem struct {
	// Code names the kind of fault for machines: see the Code constants.
	Code string `json:"code"`
	// Path is a JSON pointer into the offending document, empty for the whole.
	Path string `json:"path,omitzero"`
	// Detail says for people what was found and what was expected.
	Detail string `json:"detail"`
	// Also lists the other faults of the same input, where they do not follow
	// from this one.
	Also []Problem `json:"also,omitempty"`
}

// Codes of problems with usage events; they are also the reasons of dead
// letters.
const (
	CodeMalformed       = "malformed"        // not JSON, bad UTF-8, duplicate keys, wrong types
	CodeMissing         = "missing"          // a required attribute is absent
	CodeInvalid         = "invalid"          // an attribute or field has a value it may not have
	CodeUnknownType     = "unknown_type"     // the event's type is not one Drawdown knows
	CodeAccountMismatch = "account_mismatch" // subject and NATS subject disagree
	CodeStray           = "stray"            // the event's account belongs to another partition
	CodeFuture          = "too_far_ahead"    // time lies too far in the future
	CodeTooLate         = "too_late"         // time lies before the dedup horizon when the event is stored
	CodeTooLarge        = "too_large"        // the event or batch exceeds its size limit
	CodeUnratable       = "unratable"        // no rate card is in force, or no rule matches
	CodeOverflow        = "overflow"         // the charge exceeds what credits can hold
)

// Error returns the detail, after the path when there is one, and then those
// of the other faults.
func (p *Problem) Error() string {
	if len(p.Also) == 0 {
		return p.line()
	}
	lines := make([]string, 0, 1+len(p.Also))
	lines = append(lines, p.line())
	for i := range p.Also {
		lines = append(lines, p.Also[i].line())
	}
	return strings.Join(lines, "; ")
}

func (p *Problem) line() string {
	if p.Path == "" {
		return p.Detail
	}
	return p.Path + ": " + p.Detail
}

// Is reports that a Problem is ErrInvalid.
func (p *Problem) Is(target error) bool { return target == ErrInvalid }

// refusal is an error that says all there is to say, and matches what it wraps.
type refusal struct {
	text string
	kind error
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }

// invalidf is an error that matches ErrInvalid.
func invalidf(format string, args ...any) error {
	return refusal{fmt.Sprintf(format, args...), ErrInvalid}
}

// problemsMax bounds the faults listed of one input.
const problemsMax = 16

// faults collects the problems of one input, in the order found.
type faults []Problem

func (f *faults) add(code, path, format string, args ...any) {
	f.addAll(faults{{Code: code, Path: path, Detail: fmt.Sprintf(format, args...)}})
}

func (f *faults) addAll(others faults) {
	for _, p := range others {
		if len(*f) < problemsMax && !f.at(p.Path) && !f.at("") {
			*f = append(*f, p)
		}
	}
}

// at reports whether a fault of path itself is known, so that its consequences
// are not listed beside it.
func (f *faults) at(path string) bool {
	for i := range *f {
		if (*f)[i].Path == path {
			return true
		}
	}
	return false
}

// problem returns the first fault with the others beside it, nil when there is
// none.
func (f faults) problem() *Problem {
	if len(f) == 0 {
		return nil
	}
	first := f[0]
	if len(f) > 1 {
		first.Also = f[1:]
	}
	return &first
}

func problem(code, path, format string, args ...any) *Problem {
	return &Problem{Code: code, Path: path, Detail: fmt.Sprintf(format, args...)}
}
