package rating

import (
	"strconv"

	"github.com/drawdown-credits/drawdown/events"
)

// priceText holds the constant parts of the arithmetic.
type priceText struct {
	flat       string
	behindUnit []string // what follows each unit's quantity
	behindPack string
	min, max   string
	terms      int // of the parts above
}

func compileText(p events.Price) priceText {
	var t priceText
	if p.Flat != nil {
		t.flat = p.Flat.String()
		t.terms++
	}
	for _, u := range p.PerUnit {
		behind := " × " + u.Price.String()
		if divisor := per(u).String(); divisor != "1" {
			behind = " / " + divisor + behind
		}
		t.behindUnit = append(t.behindUnit, behind)
		t.terms++
	}
	if p.Package != nil {
		t.behindPack = " / " + p.Package.Size.String() + ") × " + p.Package.Price.String()
		t.terms++
	}
	if p.Min != nil {
		t.min = p.Min.String()
	}
	if p.Max != nil {
		t.max = p.Max.String()
	}
	return t
}

// arithmetic writes how amount came about: the parts with their sum, the
// multipliers, the minimum, the maximum and the rounding where they changed it.
func (p *price) arithmetic(d *events.UsageData, s *steps, amount events.Credits, rounding events.Rounding) string {
	b := make([]byte, 0, 128)
	b = p.appendParts(b, d)
	for i := range s.terms {
		b = s.terms[i].append(appendPlus(b))
	}
	parts := p.text.terms + len(s.terms)
	if parts == 0 {
		b = append(b, '0')
	}
	single := parts == 0 || parts == 1 && p.text.flat != ""
	if !single {
		b = s.sum.append(append(b, " = "...))
	}
	if len(s.factors) > 0 {
		if !single {
			b = s.sum.append(append(b, "; "...))
		}
		for _, m := range s.factors {
			b = append(b, m.text...)
		}
		b = s.product.append(append(b, " = "...))
		single = false
	}
	switch {
	case s.due.less(s.product):
		b = appendBound(b, single, s.product, "min(", ", max ", p.text.max)
	case s.product.less(s.due):
		b = appendBound(b, single, s.product, "max(", ", min ", p.text.min)
	}
	if !s.due.whole() {
		b = append(b, " → "...)
		b, _ = amount.AppendText(b) // never fails
		b = append(append(append(b, " ("...), rounding...), ')')
	}
	return string(b)
}

// appendBound writes that bound replaces n, which b has as its only number, or
// not.
func appendBound(b []byte, single bool, n exact, open, name, bound string) []byte {
	if single {
		parts := string(b)
		b = append(append(b[:0], open...), parts...)
	} else {
		b = n.append(append(append(b, "; "...), open...))
	}
	b = append(append(b, name...), bound...)
	return append(append(b, ") = "...), bound...)
}

// append writes "300 / 1000 × 0.5 (tokens 700 to 1000)".
func (t *term) append(b []byte) []byte {
	b, _ = t.units.AppendText(b) // never fails
	b = append(append(b, t.rate.behind...), t.rate.note...)
	if t.counts == "" {
		return b
	}
	b = append(append(append(b, " ("...), t.counts...), ' ')
	b, _ = t.from.AppendText(b)
	b, _ = t.to.AppendText(append(b, " to "...))
	return append(b, ')')
}

func (p *price) appendParts(b []byte, d *events.UsageData) []byte {
	b = append(b, p.text.flat...)
	for i, u := range p.source.PerUnit {
		b = appendPlus(b)
		b = appendQuantity(b, d.Quantity(u.Quantity))
		b = append(b, p.text.behindUnit[i]...)
	}
	if p.source.Package != nil {
		b = append(appendPlus(b), "ceil("...)
		b = appendQuantity(b, d.Quantity(p.source.Package.Quantity))
		b = append(b, p.text.behindPack...)
	}
	return b
}

func appendPlus(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return append(b, " + "...)
}

func appendQuantity(b []byte, q events.Quantity) []byte {
	if coefficient, places := q.Fraction(); places == 0 {
		return strconv.AppendUint(b, coefficient, 10)
	}
	return append(b, q.String()...)
}

// append writes e in credits: exactly where 18 places suffice, and with "…"
// for what follows them.
func (e exact) append(b []byte) []byte {
	const places = 18
	b = strconv.AppendUint(b, e.micro/uint64(events.Credit), 10)
	var digits [places]byte
	for i, rest := places-1, e.fraction; i >= 6; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	for i, rest := 5, e.micro%uint64(events.Credit); i >= 0; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	n := places
	for n > 0 && !e.more && digits[n-1] == '0' {
		n--
	}
	if n > 0 {
		b = append(append(b, '.'), digits[:n]...)
	}
	if e.more {
		b = append(b, "…"...)
	}
	return b
}
