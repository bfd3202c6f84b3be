package events

import "time"

// TypeUsage is the CloudEvents type of a usage event.
const TypeUsage = "drawdown.usage.v1"

// Limits of one usage event and one batch. Past them it is refused.
const (
	MaxEventBytes   = 64 << 10 // one event, encoded
	MaxBatchBytes   = 1 << 20  // one HTTP body or one usage.batch message
	MaxBatchEvents  = 5000
	MaxIDBytes      = 256  // id
	MaxSourceBytes  = 512  // source
	MaxStringBytes  = 1024 // operation, project, key, one attribute value
	MaxQuantities   = 32
	MaxAttributes   = 32
	MaxNameBytes    = 64 // name of a quantity or attribute
	QuantityOfCalls = "requests"
)

// Usage is one metered act: an API call and what it used. It is immutable, and
// Source and ID together identify it: however often it is sent, it counts once.
type Usage struct {
	Source  string    // the emitting service, a URI reference
	ID      string    // unique within the source, chosen by the caller
	Account string    // CloudEvents subject
	Time    time.Time // when the call happened, UTC
	// Backfill is when the emitter began to make sure that the ledger does not
	// hold the event already, by the ledger's clock. It is for events older than
	// the dedup horizon, which are refused without it; otherwise zero.
	Backfill time.Time
	Data     UsageData
}

// UsageData is the data of a usage event.
type UsageData struct {
	// Operation is what was called ("POST /v1/chat"); required.
	Operation string `json:"operation"`
	// Status is the HTTP status of the call, 100 to 599, 0 when there is none.
	Status  int    `json:"status,omitzero"`
	Project string `json:"project,omitzero"`
	Key     string `json:"key,omitzero"`
	// Quantities are what the call used, by name. An absent "requests" means 1.
	Quantities map[string]Quantity `json:"quantities,omitempty"`
	Attributes map[string]string   `json:"attributes,omitempty"`
}

// Quantity returns the named quantity; "requests" is 1 and any other 0 when
// the event does not say.
func (d UsageData) Quantity(name string) Quantity {
	if q, ok := d.Quantities[name]; ok {
		return q
	}
	if name == QuantityOfCalls {
		return Quantity{coefficient: 1}
	}
	return Quantity{}
}
