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
	// Examples say what calls cost by this card. It is not applied while one of
	// them is wrong.
	Examples []Example `json:"examples,omitempty"`
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
	// Examples are calls that this rule rates, and what they cost.
	Examples []Example `json:"examples,omitempty"`
}

// Match says which usage events a rule rates; every condition given must hold,
// and none given matches all.
type Match struct {
	// Operation is a glob: * stands for any run of characters but "/", ** for
	// any run of characters; everything else for itself.
	Operation string `json:"operation,omitzero"`
	// Status is a status ("404") or a class of them ("4xx").
	Status string `json:"status,omitzero"`
	// Plan is the account's plan, exactly.
	Plan string `json:"plan,omitzero"`
	// Project is the event's project, exactly.
	Project string `json:"project,omitzero"`
	// Attributes must be present with exactly these values.
	Attributes map[string]string `json:"attributes,omitempty"`
	// When is a condition in CEL that holds.
	When string `json:"when,omitzero"`
}

// Price is what one call costs: the sum of its parts, multiplied by each of
// Multiply whose condition holds, then at least Min and at most Max.
type Price struct {
	Flat      *Quantity    `json:"flat,omitempty"` // credits per call
	PerUnit   []PerUnit    `json:"per_unit,omitempty"`
	Package   *Package     `json:"package,omitzero"`
	Graduated *Tiered      `json:"graduated,omitzero"`
	Volume    *Tiered      `json:"volume,omitzero"`
	Matrix    *Matrix      `json:"matrix,omitzero"`
	Multiply  []Multiplier `json:"multiply,omitempty"`
	Min       *Quantity    `json:"min,omitempty"` // credits
	Max       *Quantity    `json:"max,omitempty"` // credits, at least Min
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

// Tiered prices a quantity by how much of it the account has used in its
// billing period. Graduated, each unit costs what the tier says that it falls
// into. By volume, all units of a call cost what the tier says in which the
// period's total lies, this call included; what was charged before stays.
type Tiered struct {
	Quantity string `json:"quantity"`
	// Tiers rise; only the last has no end.
	Tiers []PriceTier `json:"tiers"`
}

// PriceTier is the price of units behind the tier before, up to and including
// UpTo.
type PriceTier struct {
	UpTo  *Quantity `json:"up_to,omitempty"` // above the tier before; none in the last
	Price Quantity  `json:"price"`
	Per   Quantity  `json:"per,omitzero"` // default 1
}

// Matrix prices a quantity by the values of attributes; an absent attribute has
// the empty value.
type Matrix struct {
	By       []string `json:"by"`                // names of attributes
	Quantity string   `json:"quantity,omitzero"` // default requests
	Per      Quantity `json:"per,omitzero"`      // default 1
	Cells    []Cell   `json:"cells"`
	// Default is the price where there is no cell. Without one such a call
	// cannot be rated.
	Default *Quantity `json:"default,omitempty"`
}

// Cell is the price where the attributes of a Matrix have these values, in its
// order.
type Cell struct {
	Values []string `json:"values"`
	Price  Quantity `json:"price"`
}

// Multiplier multiplies a price by By where the condition When, in CEL, holds.
type Multiplier struct {
	When string   `json:"when"`
	By   Quantity `json:"by"`
}

// Example is a call and what it costs.
type Example struct {
	Event   ExampleEvent `json:"event"`
	Credits Credits      `json:"credits"`
}

// ExampleEvent is the call of an Example, and what is known about its account.
type ExampleEvent struct {
	Operation  string              `json:"operation"`
	Status     int                 `json:"status,omitzero"`
	Project    string              `json:"project,omitzero"`
	Key        string              `json:"key,omitzero"`
	Account    string              `json:"account,omitzero"`
	Plan       string              `json:"plan,omitzero"` // the account's
	Time       time.Time           `json:"time,omitzero"`
	Quantities map[string]Quantity `json:"quantities,omitempty"`
	Attributes map[string]string   `json:"attributes,omitempty"`
	// Used is what the account has used of quantities in its billing period
	// before the call.
	Used map[string]Quantity `json:"used,omitempty"`
}
