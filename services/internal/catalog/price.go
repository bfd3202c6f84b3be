package catalog

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawdown-credits/drawdown/events"
)

// Bounds of a price.
const (
	tiersMax    = 100
	byMax       = 8
	cellsMax    = 1000
	multiplyMax = 32
)

func (f field) price() events.Price {
	var price events.Price
	o := f.open("a price", []string{"flat", "per_unit", "package", "graduated", "volume", "matrix", "multiply", "min", "max"}, nil)
	const parts = "flat, per_unit, package, graduated, volume, matrix or min (a free call is {flat: \"0\"})"
	if mapping, ok := f.node.(*ast.MappingNode); ok && len(mapping.Values) == 0 {
		f.refuse("found an empty price; expected " + parts)
	}
	if o.any("multiply", "max") && !o.any("flat", "per_unit", "package", "graduated", "volume", "matrix", "min") {
		f.refuse("found nothing to multiply or to bound; expected " + parts)
	}
	o.optional("flat", func(f field) { price.Flat = f.credits() })
	o.optional("per_unit", func(f field) {
		for _, element := range f.list("per_unit prices", perUnitMax) {
			price.PerUnit = append(price.PerUnit, element.perUnit())
		}
	})
	o.optional("package", func(f field) { price.Package = f.pack() })
	o.optional("graduated", func(f field) { price.Graduated = f.tiered() })
	o.optional("volume", func(f field) { price.Volume = f.tiered() })
	o.optional("matrix", func(f field) { price.Matrix = f.matrix() })
	o.optional("multiply", func(f field) {
		for _, element := range f.list("multipliers", multiplyMax) {
			price.Multiply = append(price.Multiply, element.multiplier())
		}
	})
	o.optional("min", func(f field) { price.Min = f.credits() })
	o.optional("max", func(f field) {
		price.Max = f.credits()
		if price.Min != nil && price.Max != nil && price.Max.Total().Compare(price.Min.Total()) < 0 {
			f.refuse("found a max of %s below the min of %s; expected at least as much", price.Max, price.Min)
		}
	})
	return price
}

func (f field) perUnit() events.PerUnit {
	var unit events.PerUnit
	o := f.open("a per_unit price", []string{"quantity", "price", "per"}, nil)
	o.required("quantity", "the name of a quantity", func(f field) { unit.Quantity = f.quantityName() })
	o.required("price", aPrice, func(f field) {
		if price := f.credits(); price != nil {
			unit.Price = *price
		}
	})
	o.optional("per", func(f field) { unit.Per = f.size() })
	return unit
}

func (f field) pack() *events.Package {
	var pack events.Package
	o := f.open("a package", []string{"quantity", "size", "price"}, nil)
	o.required("quantity", "the name of a quantity", func(f field) { pack.Quantity = f.quantityName() })
	o.required("size", aSize, func(f field) { pack.Size = f.size() })
	o.required("price", aPrice, func(f field) {
		if price := f.credits(); price != nil {
			pack.Price = *price
		}
	})
	return &pack
}

func (f field) tiered() *events.Tiered {
	var tiered events.Tiered
	o := f.open("a tiered price", []string{"quantity", "tiers"}, nil)
	o.required("quantity", "the name of a quantity", func(f field) { tiered.Quantity = f.quantityName() })
	o.required("tiers", "a list of tiers", func(f field) {
		elements := f.list("tiers", tiersMax)
		var before events.Quantity // where the tier before ends
		for i, element := range elements {
			tier := element.tier(before, i == len(elements)-1)
			if tier.UpTo != nil {
				before = *tier.UpTo
			}
			tiered.Tiers = append(tiered.Tiers, tier)
		}
	})
	return &tiered
}

// tier reads a tier that begins behind before.
func (f field) tier(before events.Quantity, last bool) events.PriceTier {
	var tier events.PriceTier
	o := f.open("a tier", []string{"up_to", "price", "per"}, nil)
	if !last {
		o.required("up_to", "more than "+before.String()+", where the tier ends: another one follows", func(f field) {
			end, ok := f.quantity(aSize)
			if ok && end.Total().Compare(before.Total()) <= 0 {
				f.refuse("found an end at %s; expected more than %s, where the tier before ends", end, before)
			}
			tier.UpTo = &end
		})
	} else {
		o.optional("up_to", func(f field) {
			f.refuse("found an end of the last tier; expected none: what lies behind it would have no price")
		})
	}
	o.required("price", aPrice, func(f field) {
		if price := f.credits(); price != nil {
			tier.Price = *price
		}
	})
	o.optional("per", func(f field) { tier.Per = f.size() })
	return tier
}

func (f field) matrix() *events.Matrix {
	var matrix events.Matrix
	o := f.open("a matrix", []string{"by", "quantity", "per", "cells", "default"}, nil)
	o.required("by", "a list of attributes' names", func(f field) {
		for _, element := range f.list("attributes' names", byMax) {
			name := element.quantityName()
			if name != "" && slices.Contains(matrix.By, name) {
				element.refuse("found the attribute %s twice; expected it once", clip(name))
			}
			matrix.By = append(matrix.By, name)
		}
	})
	o.optional("quantity", func(f field) { matrix.Quantity = f.quantityName() })
	o.optional("per", func(f field) { matrix.Per = f.size() })
	o.required("cells", "a list of cells such as {values: [large], price: \"1\"}", func(f field) {
		seen := map[string]bool{}
		for _, element := range f.list("cells", cellsMax) {
			matrix.Cells = append(matrix.Cells, element.cell(matrix.By, seen))
		}
	})
	o.optional("default", func(f field) { matrix.Default = f.credits() })
	return &matrix
}

// cell reads a cell with a value for each of by, unlike those seen.
func (f field) cell(by []string, seen map[string]bool) events.Cell {
	var cell events.Cell
	o := f.open("a cell", []string{"values", "price"}, nil)
	o.required("values", "a list of attributes' values", func(f field) {
		for _, element := range f.list("attributes' values", byMax) {
			cell.Values = append(cell.Values, element.attributeValue())
		}
		key := strings.Join(cell.Values, "\x00")
		switch {
		case len(cell.Values) == 0: // refused
		case len(by) > 0 && len(cell.Values) != len(by):
			f.refuse("found %d values; expected %d: one for each of %s", len(cell.Values), len(by), strings.Join(by, ", "))
		case seen[key]:
			f.refuse("found the values of another cell; expected each once")
		}
		seen[key] = true
	})
	o.required("price", aPrice, func(f field) {
		if price := f.credits(); price != nil {
			cell.Price = *price
		}
	})
	return cell
}

func (f field) multiplier() events.Multiplier {
	var m events.Multiplier
	o := f.open("a multiplier", []string{"when", "by"}, nil)
	o.required("when", "a condition in CEL", func(f field) { m.When = f.condition() })
	o.required("by", aPrice, func(f field) { m.By, _ = f.quantity("a factor of 0 or more such as \"1.5\"") })
	return m
}
