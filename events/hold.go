package events

import (
	"time"
)

// Bounds of how long a hold reserves its amount.
const (
	DefaultHoldLife = time.Minute
	MinHoldLife     = time.Millisecond
	MaxHoldLife     = 24 * time.Hour
)

// Hold reserves credits before work whose cost is not known yet. It ends when
// it is captured, released or expires.
type Hold struct {
	// ID identifies the hold within its account and makes placing it idempotent:
	// 1 to 128 of A–Z a–z 0–9 _ - . :
	ID     string  `json:"id"`
	Amount Credits `json:"amount"`
	// ExpiresIn counts from when the hold is recorded; default DefaultHoldLife.
	ExpiresIn Duration `json:"expires_in,omitzero"`
	// Project, Key and Attributes say what the work is for, as a usage event
	// does: the hold and its capture count in the budgets that these match.
	Project    string            `json:"project,omitzero"`
	Key        string            `json:"key,omitzero"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Capture charges the cost of work that a hold was placed for, and ends the
// hold: what it did not charge is available again.
type Capture struct {
	Hold   string  `json:"hold"`   // its id
	Amount Credits `json:"amount"` // above 0
}

// Release ends a hold without a charge.
type Release struct {
	Hold string `json:"hold"` // its id
}

// HoldState says where a hold is in its life.
type HoldState string

// The states of a hold. The last three are final.
const (
	HoldOpen     HoldState = "open"
	HoldCaptured HoldState = "captured"
	HoldReleased HoldState = "released"
	HoldExpired  HoldState = "expired"
)

// HoldBalance is a hold as it stands.
type HoldBalance struct {
	ID        string    `json:"id"`
	Amount    Credits   `json:"amount"`
	ExpiresAt time.Time `json:"expires_at"`
	State     HoldState `json:"state"`
	Captured  Credits   `json:"captured,omitzero"` // what its capture charged
	Project   string    `json:"project,omitzero"`  // while it is open
	Key       string    `json:"key,omitzero"`      // while it is open
}

// Life is how long the hold reserves its amount.
func (h Hold) Life() time.Duration {
	if h.ExpiresIn == 0 {
		return DefaultHoldLife
	}
	return time.Duration(h.ExpiresIn)
}

// Validate returns nil when h may be placed whatever its account has, and
// otherwise a *Problem that lists what is wrong.
func (h Hold) Validate() error {
	var f faults
	checkHoldID(&f, "/id", h.ID)
	checkCharge(&f, h.Amount)
	if life := h.Life(); life < MinHoldLife || life > MaxHoldLife {
		f.add(CodeInvalid, "/expires_in", "found %s; expected %s to %s", h.ExpiresIn, Duration(MinHoldLife), Duration(MaxHoldLife))
	}
	work := UsageData{Operation: "hold", Project: h.Project, Key: h.Key, Attributes: h.Attributes}
	work.check(&f, "")
	return f.err()
}

// Validate returns nil when c may name a hold, and otherwise a *Problem.
func (c Capture) Validate() error {
	var f faults
	checkHoldID(&f, "/hold", c.Hold)
	if c.Amount == 0 {
		f.add(CodeInvalid, "/amount", "found 0; expected credits above 0: to charge nothing, release the hold")
	} else {
		checkCharge(&f, c.Amount)
	}
	return f.err()
}

// Validate returns nil when r may name a hold, and otherwise a *Problem.
func (r Release) Validate() error {
	var f faults
	checkHoldID(&f, "/hold", r.Hold)
	return f.err()
}

func checkHoldID(f *faults, path, id string) {
	if !ValidHoldID(id) {
		f.add(CodeInvalid, path, "found %s; expected a hold: 1 to 128 of A–Z a–z 0–9 _ - . :", clip(id))
	}
}

func checkCharge(f *faults, amount Credits) {
	if amount <= 0 || amount > MaxCredits {
		f.add(CodeInvalid, "/amount", "found %s; expected credits above 0, at most %s", amount, MaxCredits)
	}
}

// err returns the problem, as an error that is nil when there is none.
func (f faults) err() error {
	if p := f.problem(); p != nil {
		return p
	}
	return nil
}

// ValidHoldID reports whether id may name a hold.
func ValidHoldID(id string) bool { return validToken(id, 128, "_-.:") }

// Duration is a length of time that JSON writes as "90s", "10m" or "1h30m".
type Duration time.Duration

// String returns d with its units, the ones that are 0 left out.
func (d Duration) String() string {
	s := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(s) > len(zero) && s[len(s)-len(zero):] == zero {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return s
}

// MarshalText writes what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return invalidf("found the duration %s; expected one such as 90s, 10m or 1h30m", clip(string(text)))
	}
	*d = Duration(parsed)
	return nil
}

// HoldRequest is the body of a request on HoldSubject: exactly one of its
// fields is set. The answer is that of the HTTP call, with the HTTP status in
// its header HeaderStatus.
type HoldRequest struct {
	Hold    *Hold    `json:"hold,omitzero"`
	Capture *Capture `json:"capture,omitzero"`
	Release *Release `json:"release,omitzero"`
}

// HeaderStatus is the header of an answer over NATS that has the HTTP status.
const HeaderStatus = "Drawdown-Status"
