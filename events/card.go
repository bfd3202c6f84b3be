package events

import "time"

// DefaultCard is the rate card that rates usage.
const DefaultCard = "default"

// RateCard is a list of prices in force from a time. Its first rule that
// matches a usage event rates it.
type RateCard struct {
	Card string `json:"card"`
	// Version is assigned on apply: 1, 2, 3… within the card.
	Version int `json:"version,omitzero"`
	// EffectiveFrom is when the version comes into force, compared with the
	// usage event's own time. A first version without one is in force for all
	// time; a later one without one, from when it is applied.
	EffectiveFrom time.Time `json:"effective_from,omitzero"`
	Rounding      Rounding  `json:"rounding,omitzero"` // default half_up
	Rules         []Rule    `json:"rules"`
}

// Rounding says how a charge becomes whole micro-credits: once per charge.
type Rounding string

// The rounding rules. A half is exactly half a micro-credit.
const (
	RoundHalfUp   Rounding = "half_up"
	RoundHalfEven Rounding = "half_even"
	RoundUp       Rounding = "up"
	RoundDown     Rounding = "down"
)

// Rule prices the usage events it matches.
type Rule struct {
	Name  string `json:"name"`
	Match Match  `json:"match,omitzero"`
	Price Price  `json:"price"`
}

// Match says which usage events a rule rates; every condition given must hold,
// and none given matches all.
type Match struct {
	// Operation is a glob: * stands for any run of characters but "/", ** for
	// any run of characters; everything else for itself.
	Operation string `json:"operation,omitzero"`
	// Status is a status ("404") or a class of them ("4xx").
	Status string `json:"status,omitzero"`
	// Project is the event's project, exactly.
	Project string `json:"project,omitzero"`
	// Attributes must be present with exactly these values.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Price is what one call costs: the sum of its parts, then at least Min.
type Price struct {
	Flat    *Quantity `json:"flat,omitempty"` // credits per call
	PerUnit []PerUnit `json:"per_unit,omitempty"`
	Package *Package  `json:"package,omitzero"`
	Min     *Quantity `json:"min,omitempty"` // credits
}

// PerUnit charges Price credits for every Per of a quantity, in proportion.
type PerUnit struct {
	Quantity string   `json:"quantity"`
	Price    Quantity `json:"price"`
	Per      Quantity `json:"per,omitzero"` // default 1
}

// Package charges Price credits for each started Size of a quantity.
type Package struct {
	Quantity string   `json:"quantity"`
	Size     Quantity `json:"size"`
	Price    Quantity `json:"price"`
}
