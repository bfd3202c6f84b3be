package events

import "errors"

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
	CodeTooLate         = "too_late"         // time lies before the dedup horizon
	CodeTooLarge        = "too_large"        // the event or batch exceeds its size limit
	CodeUnratable       = "unratable"        // no rate card is in force, or no rule matches
	CodeOverflow        = "overflow"         // the charge exceeds what credits can hold
)

// Error returns the detail, after the path when there is one.
func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Detail
	}
	return p.Path + ": " + p.Detail
}

// Is reports that a Problem is ErrInvalid.
func (p *Problem) Is(target error) bool { return target == ErrInvalid }
