package events

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of TopUp.
const (
	DefaultTopUpCooldown = 10 * time.Minute
	DefaultTopUpTimeout  = 24 * time.Hour
	MinTopUpWait         = time.Second         // of cooldown and timeout
	MaxTopUpWait         = 31 * 24 * time.Hour // of cooldown and timeout
	MaxTopUpsPerPeriod   = 100
)

// declineReasonMax bounds the reason of a Decline, in bytes.
const declineReasonMax = 512

// TopUp has a payment requested when an account runs low. Whoever pays issues a
// grant that names the request.
type TopUp struct {
	// Below is the level of available credits under which a top-up is
	// requested: more than 0.
	Below  Credits `json:"below"`
	Amount Credits `json:"amount"` // to be granted, more than 0
	// AtMostPerPeriod is how many requests there may be in one period of the
	// account, or in a UTC calendar month while it has none: 0 to
	// MaxTopUpsPerPeriod. With 0 there are none, also of an account whose plan
	// would have them.
	AtMostPerPeriod int `json:"at_most_per_period"`
	// Cooldown is how long after a request the next may follow at the soonest;
	// default DefaultTopUpCooldown.
	Cooldown Duration `json:"cooldown,omitzero"`
	// Timeout is how long a request waits for its grant; default
	// DefaultTopUpTimeout.
	Timeout Duration `json:"timeout,omitzero"`
}

// Validate returns nil when t may be part of terms, and otherwise a *Problem
// that lists what is wrong.
func (t TopUp) Validate() error {
	var f faults
	for _, c := range []struct {
		path   string
		amount Credits
	}{{"/below", t.Below}, {"/amount", t.Amount}} {
		if c.amount <= 0 || c.amount > MaxCredits {
			f.add(CodeInvalid, c.path, "found %s; expected credits above 0, at most %s", c.amount, MaxCredits)
		}
	}
	if t.AtMostPerPeriod < 0 || t.AtMostPerPeriod > MaxTopUpsPerPeriod {
		f.add(CodeInvalid, "/at_most_per_period", "found %d; expected 0 to %d requests", t.AtMostPerPeriod, MaxTopUpsPerPeriod)
	}
	for _, c := range []struct {
		path string
		wait Duration
	}{{"/cooldown", t.Cooldown}, {"/timeout", t.Timeout}} {
		if wait := time.Duration(c.wait); wait != 0 && (wait < MinTopUpWait || wait > MaxTopUpWait) {
			f.add(CodeInvalid, c.path, "found %s; expected %s to %s", c.wait, Duration(MinTopUpWait), Duration(MaxTopUpWait))
		}
	}
	return f.err()
}

// Waits returns the cooldown and the timeout, defaults included.
func (t TopUp) Waits() (cooldown, timeout time.Duration) {
	cooldown, timeout = time.Duration(t.Cooldown), time.Duration(t.Timeout)
	if cooldown == 0 {
		cooldown = DefaultTopUpCooldown
	}
	if timeout == 0 {
		timeout = DefaultTopUpTimeout
	}
	return cooldown, timeout
}

// TopUpState says whether an account is about to be filled up.
type TopUpState string

// The states of auto top-up.
const (
	// TopUpNone: the terms have none, or none more in this period.
	TopUpNone TopUpState = "none"
	// TopUpAvailable: one is requested once the account is low enough and the
	// cooldown has passed.
	TopUpAvailable TopUpState = "available"
	// TopUpPending: one was requested and is neither granted nor declined.
	TopUpPending TopUpState = "pending"
)

// TopUpBalance is where auto top-up stands.
type TopUpBalance struct {
	State TopUpState `json:"state"`
	// Request is the one that pends, and Since the entry that brought it about.
	Request *TopUpRequest `json:"request,omitzero"`
	Since   *Cause        `json:"since,omitzero"`
	// NextAt is when the next request may be made at the soonest, where the
	// cooldown or the number of requests has it wait and none pends.
	NextAt time.Time `json:"next_at,omitzero"`
}

// TopUpRequest asks for a payment.
type TopUpRequest struct {
	// ID names the request for ever: TopUpID of the account and the number of
	// the request. Paying by it, and naming it in the grant, is idempotent.
	ID          string    `json:"id"`
	Amount      Credits   `json:"amount"`
	Below       Credits   `json:"below"` // as the terms had it
	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"` // when it ends by itself
}

// topUpPrefix begins the ids of requests.
const topUpPrefix = "topup:"

// TopUpID names the n-th request of an account, n from 1.
func TopUpID(account string, n uint64) string {
	return topUpPrefix + account + ":" + strconv.FormatUint(n, 10)
}

// TopUpNumber returns which of the account's requests id names; 0 for none.
func TopUpNumber(account, id string) uint64 {
	text, ok := strings.CutPrefix(id, topUpPrefix+account+":")
	if n, err := strconv.ParseUint(text, 10, 64); ok && err == nil && TopUpID(account, n) == id {
		return n
	}
	return 0
}

// ValidTopUpID reports whether id may name a request, of whatever account.
func ValidTopUpID(id string) bool { return validToken(id, 128, "_-.:") }

// TopUpAnswer says what a grant that names a request for a top-up did to it.
type TopUpAnswer string

// What became of the request that a grant names. The grant is issued either way.
const (
	TopUpAnswered   TopUpAnswer = "answered"    // it pended, and pends no more
	TopUpNotPending TopUpAnswer = "not_pending" // it had ended, or there was none
)

// Decline ends a pending request for a top-up without a payment.
type Decline struct {
	TopUp  string `json:"top_up"`          // the request's id
	Reason string `json:"reason,omitzero"` // at most 512 bytes
}

// Validate returns nil when d may name a request, and otherwise a *Problem.
func (d Decline) Validate() error {
	var f faults
	if !ValidTopUpID(d.TopUp) {
		f.add(CodeInvalid, "/top_up", "found %s; expected a request for a top-up such as topup:acme:1", clip(d.TopUp))
	}
	if len(d.Reason) > declineReasonMax || !utf8.ValidString(d.Reason) {
		f.add(CodeInvalid, "/reason", "found %d bytes; expected a text of at most %d", len(d.Reason), declineReasonMax)
	}
	return f.err()
}
