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
	min        string
	terms      int
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
	return t
}

// arithmetic writes how amount came about: the parts with their sum, the
// minimum and the rounding where they changed it.
func (p *price) arithmetic(d *events.UsageData, sum, due exact, amount events.Credits, rounding events.Rounding) string {
	b := make([]byte, 0, 128)
	b = p.appendParts(b, d)
	single := p.text.terms == 0 || p.text.terms == 1 && p.text.flat != ""
	if !single {
		b = sum.append(append(b, " = "...))
	}
	if due != sum {
		if single {
			parts := string(b)
			b = append(append(b[:0], "max("...), parts...)
		} else {
			b = sum.append(append(b, "; max("...))
		}
		b = append(append(append(b, ", min "...), p.text.min...), ") = "...)
		b = append(b, p.text.min...)
	}
	if !due.whole() {
		b = append(b, " → "...)
		b, _ = amount.AppendText(b) // never fails
		b = append(append(append(b, " ("...), rounding...), ')')
	}
	return string(b)
}

func (p *price) appendParts(b []byte, d *events.UsageData) []byte {
	if p.text.terms == 0 {
		return append(b, '0')
	}
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
