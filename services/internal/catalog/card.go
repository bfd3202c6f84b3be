package catalog

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

// Bounds of a rate card.
const (
	rulesMax    = 1000
	perUnitMax  = events.MaxQuantities
	examplesMax = 100
)

const (
	aName  = "a name of 1 to 64 of A–Z a–z 0–9 _ -"
	aTime  = "a time in RFC 3339 such as 2026-12-01T00:00:00Z"
	aPrice = "a decimal of 0 or more such as \"0.25\""
	aSize  = "a decimal above 0 such as \"1000\""
)

func (r *reader) rateCard(n ast.Node) events.RateCard {
	var card events.RateCard
	o := field{r, n, ""}.open("a rate card",
		[]string{"card", "version", "effective_from", "rounding", "rules", "examples"}, nil)
	o.required("card", aName, func(f field) { card.Card = f.name() })
	o.optional("version", func(f field) { f.version() })
	o.optional("effective_from", func(f field) { card.EffectiveFrom = f.time() })
	o.optional("rounding", func(f field) {
		rounding, _ := f.oneOf(string(events.RoundHalfUp), string(events.RoundHalfEven), string(events.RoundUp), string(events.RoundDown))
		card.Rounding = events.Rounding(rounding)
	})
	o.required("rules", "a list of rules", func(f field) {
		names := map[string]bool{}
		elements := f.list("rules", rulesMax)
		for _, element := range elements {
			card.Rules = append(card.Rules, element.rule(names))
		}
		if i, detail := f.sum.Excess(); detail != "" {
			elements[i].refuse("%s", detail)
		}
	})
	o.optional("examples", func(f field) { card.Examples = f.examples() })
	return card
}

func (f field) rule(names map[string]bool) events.Rule {
	var rule events.Rule
	o := f.open("a rule", []string{"name", "match", "price", "examples"}, nil)
	o.required("name", "the rule's name", func(f field) {
		var ok bool
		if rule.Name, ok = f.text("the rule's name", events.MaxStringBytes); ok && names[rule.Name] {
			f.refuse("found a second rule named %s; expected names that differ", clip(rule.Name))
		}
		names[rule.Name] = true
	})
	f.cost = 0
	o.optional("match", func(f field) { rule.Match = f.match() })
	match := f.cost
	f.cost = 0
	o.required("price", "a price such as {flat: \"1\"}", func(f field) { rule.Price = f.price() })
	f.sum.Add(match, f.cost)
	o.optional("examples", func(f field) { rule.Examples = f.examples() })
	return rule
}

func (f field) match() events.Match {
	var match events.Match
	o := f.open("a match", []string{"operation", "status", "plan", "project", "attributes", "when"}, nil)
	o.optional("operation", func(f field) {
		glob, ok := f.text("an operation, where * stands for any characters but / and ** for any", events.MaxStringBytes)
		if ok && strings.Contains(glob, "***") {
			f.refuse("found *** in %s; expected * or **", clip(glob))
		}
		match.Operation = glob
	})
	o.optional("status", func(f field) { match.Status = f.status() })
	o.optional("plan", func(f field) { match.Plan = f.name() })
	o.optional("project", func(f field) { match.Project, _ = f.text("a project", events.MaxStringBytes) })
	o.optional("attributes", func(f field) { match.Attributes = f.attributes() })
	o.optional("when", func(f field) { match.When = f.condition() })
	return match
}

func (f field) status() string {
	const expected = "a status from 100 to 599, or a class of them such as \"4xx\""
	s, ok := f.number(expected)
	if !ok {
		return ""
	}
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if len(s) != 3 || s[0] < '1' || s[0] > '5' || s[1:] != "xx" && !digits(s[1:]) {
		f.refuse("found %s; expected %s", clip(s), expected)
	}
	return s
}

// condition reads and compiles a condition in CEL, which may have several lines.
func (f field) condition() string {
	const expected = "a condition in CEL as text"
	s, ok := f.textOf(expected, condition.MaxBytes, func(c rune) bool { return notText(c) && c != '\n' })
	if !ok {
		return ""
	}
	compiled, err := condition.Compile(s)
	var wrong *condition.Error
	switch {
	case err == nil:
		f.cost += compiled.Cost()
	case errors.As(err, &wrong):
		f.refuse("%s (line %d, column %d of the condition)", wrong.Detail, wrong.Line, wrong.Column)
	default:
		f.refuse("found %s, which cannot be compiled: %v", clip(s), err)
	}
	return s
}

func (f field) attributes() map[string]string {
	o := f.open("attributes by name", nil, nil)
	if n := len(o.fields); n > events.MaxAttributes {
		f.refuse("found %d attributes; expected at most %d", n, events.MaxAttributes)
		return nil
	}
	attributes := make(map[string]string, len(o.fields))
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		value := o.fields[name]
		if !validQuantityName(name) {
			value.refuse("found the name %s; expected %s", clip(name), aQuantityName)
		}
		attributes[name] = value.attributeValue()
	}
	return attributes
}

// attributeValue reads the value of an attribute, which may be empty.
func (f field) attributeValue() string {
	if s, ok := f.node.(*ast.StringNode); ok && s.Value == "" {
		return ""
	}
	s, _ := f.text("the attribute's value as text (quote it)", events.MaxStringBytes)
	return s
}

// credits reads a price: at most 12 places, at most events.MaxCredits.
func (f field) credits() *events.Quantity {
	q, ok := f.quantity(aPrice)
	if !ok {
		return nil
	}
	if most := events.MustQuantity(events.MaxCredits.String()); q.Rat().Cmp(most.Rat()) > 0 {
		f.refuse("found %s credits; expected at most %s", q, most)
		return nil
	}
	return &q
}

// size reads a quantity above 0.
func (f field) size() events.Quantity {
	q, ok := f.quantity(aSize)
	if ok && q.IsZero() {
		f.refuse("found 0; expected %s", aSize)
	}
	return q
}

func (f field) quantity(expected string) (events.Quantity, bool) {
	s, ok := f.number(expected)
	if !ok {
		return events.Quantity{}, false
	}
	q, err := events.ParseQuantity(s)
	if err != nil {
		f.refuse("found %s; expected %s, with at most 18 digits and 12 decimal places", clip(s), expected)
		return events.Quantity{}, false
	}
	return q, true
}

const aQuantityName = "a letter or _ and then letters, digits, _ . or -, at most 64"

func (f field) quantityName() string {
	s, ok := f.text("the name of a quantity", events.MaxNameBytes)
	if ok && !validQuantityName(s) {
		f.refuse("found %s; expected %s", clip(s), aQuantityName)
	}
	return s
}

// validQuantityName reports whether a usage event may name a quantity or
// attribute s.
func validQuantityName(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '.' || c == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= events.MaxNameBytes
}

func (f field) name() string {
	s, ok := f.text(aName, events.MaxStringBytes)
	if ok && !events.ValidName(s) {
		f.refuse("found %s; expected %s", clip(s), aName)
	}
	return s
}

// version checks a version and forgets it.
func (f field) version() {
	const expected = "a whole number, which is ignored: the version is assigned on apply"
	if s, ok := f.number(expected); ok && (strings.Trim(s, "0123456789") != "" || s == "") {
		f.refuse("found %s; expected %s", clip(s), expected)
	}
}

func (f field) time() time.Time {
	s, ok := f.text(aTime, events.MaxStringBytes)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		f.refuse("found %s; expected %s, from 1970 on", clip(s), aTime)
		return time.Time{}
	}
	return t.UTC()
}
