package events

import "time"

// Headers of a DEADLETTER message. Its body and other headers are the original
// event's; the body of an event from a batch is that event's alone.
const (
	HeaderReason   = "Drawdown-Reason"    // a Code
	HeaderDetail   = "Drawdown-Detail"    // what was found and expected
	HeaderSubject  = "Drawdown-Subject"   // the NATS subject it was stored under
	HeaderSequence = "Drawdown-Sequence"  // in USAGE
	HeaderIndex    = "Drawdown-Index"     // in its batch
	HeaderStoredAt = "Drawdown-Stored-At" // RFC 3339, in USAGE
)

// DeadLetter is a usage event that could not be rated, with the reason.
type DeadLetter struct {
	// ID names it: its sequence in DEADLETTER.
	ID       uint64    `json:"id"`
	Reason   string    `json:"reason"` // a Code
	Detail   string    `json:"detail"`
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"usage_sequence"`
	Index    int       `json:"usage_index,omitzero"`
	StoredAt time.Time `json:"stored_at"`
	// Header and Body are the original's, byte for byte.
	Header map[string][]string `json:"header,omitempty"`
	Body   []byte              `json:"body"`
}
