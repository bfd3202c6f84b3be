package events

import (
	"encoding"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// appendDebit appends a debit entry as json.Marshal would.
func appendDebit(b []byte, e *Entry) []byte {
	d := e.Debit
	b = appendText(append(b, `{"kind":"debit","account":`...), e.Account)
	b = appendText(append(b, `,"debit":{"source":`...), d.Source)
	b = appendText(append(b, `,"id":`...), d.ID)
	b = appendTime(append(b, `,"time":`...), d.Time)
	b = appendData(append(b, `,"data":`...), &d.Data)
	b = strconv.AppendUint(append(b, `,"position":{"sequence":`...), d.Position.Sequence, 10)
	if d.Position.Index != 0 {
		b = strconv.AppendInt(append(b, `,"index":`...), int64(d.Position.Index), 10)
	}
	if !d.Position.StoredAt.IsZero() {
		b = appendTime(append(b, `,"stored_at":`...), d.Position.StoredAt)
	}
	b = append(d.Amount.append(append(b, `},"amount":"`...)), '"')
	b = appendText(append(b, `,"card":`...), d.Card)
	b = strconv.AppendInt(append(b, `,"version":`...), int64(d.Version), 10)
	b = appendText(append(b, `,"rule":`...), d.Rule)
	b = appendText(append(b, `,"arithmetic":`...), d.Arithmetic)
	b = appendTiers(b, d.Tiers)
	return append(b, "}}"...)
}

func appendTiers(b []byte, tiers []Tier) []byte {
	if len(tiers) == 0 {
		return b
	}
	b = append(b, `,"tiers":[`...)
	for i := range tiers {
		t := &tiers[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"part":`...), string(t.Part))
		b = appendText(append(b, `,"quantity":`...), t.Quantity)
		b = appendTime(append(b, `,"period":`...), t.Period)
		b = t.Before.append(append(b, `,"before":"`...))
		b = append(append(append(b, `","amount":"`...), t.Amount.String()...), `"}`...)
	}
	return append(b, ']')
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}

func encodableTime(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

// object reads an object, each member by member, which reads its value.
func (p *parser) object(member func(name string) error) error {
	if p.dec.PeekKind() != '{' {
		return p.wrong("a JSON object")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := member(p.unquote(name)); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

// wrong reads a value of the wrong type and says so.
func (p *parser) wrong(expected string) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	return problem(CodeMalformed, string(p.dec.StackPointer()), "found %s; expected %s", found(value), expected)
}

// unknown refuses a member that was named last.
func (p *parser) unknown(name string) error {
	return problem(CodeInvalid, string(p.dec.StackPointer()), "unknown field %s", clip(name))
}

// other reads a value that is not worth a reader of its own.
func (p *parser) other(to any) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(value, to, json.RejectUnknownMembers(true)); err != nil {
		inner := jsonProblem(err)
		inner.Path = string(p.dec.StackPointer()) + inner.Path
		return inner
	}
	return nil
}

func (p *parser) chunk() (c Chunk, err error) {
	err = p.object(func(name string) error {
		switch name {
		case "span":
			return p.other(&c.Span)
		case "entries":
			return p.entries(&c)
		}
		return p.unknown(name)
	})
	if err == nil {
		err = p.atEnd()
	}
	return c, err
}

func (p *parser) entries(c *Chunk) error {
	return p.array(func() error {
		c.Entries = append(c.Entries, Entry{})
		return p.entry(&c.Entries[len(c.Entries)-1])
	})
}

// array reads an array, each element by element, which reads it.
func (p *parser) array(element func() error) error {
	if p.dec.PeekKind() != '[' {
		return p.wrong("a JSON array")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for kind := p.dec.PeekKind(); kind != ']' && kind != 0; kind = p.dec.PeekKind() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

func (p *parser) entry(e *Entry) error {
	return p.object(func(name string) error {
		switch name {
		case "kind":
			return p.string((*string)(&e.Kind))
		case "account":
			return p.string(&e.Account)
		case "debit":
			e.Debit = new(Debit)
			return p.debit(e.Debit)
		case "grant":
			return p.other(&e.Grant)
		case "void":
			return p.other(&e.Void)
		case "hold":
			return p.other(&e.Hold)
		case "capture":
			return p.other(&e.Capture)
		case "release":
			return p.other(&e.Release)
		case "adjust":
			return p.other(&e.Adjust)
		case "decline":
			return p.other(&e.Decline)
		case "correction":
			return p.other(&e.Correction)
		case "settings":
			return p.other(&e.Settings)
		case "plan":
			return p.other(&e.Plan)
		case "rate_card":
			return p.other(&e.RateCard)
		}
		return p.unknown(name)
	})
}

func (p *parser) debit(d *Debit) error {
	return p.object(func(name string) error {
		switch name {
		case "source":
			return p.string(&d.Source)
		case "id":
			return p.string(&d.ID)
		case "time":
			return p.time(&d.Time)
		case "data":
			return p.debitData(&d.Data)
		case "position":
			return p.position(&d.Position)
		case "amount":
			return p.credits(&d.Amount)
		case "card":
			return p.string(&d.Card)
		case "version":
			return p.integer(&d.Version)
		case "rule":
			return p.string(&d.Rule)
		case "arithmetic":
			return p.string(&d.Arithmetic)
		case "tiers":
			return p.tiers(d)
		}
		return p.unknown(name)
	})
}

func (p *parser) tiers(d *Debit) error {
	return p.array(func() error {
		d.Tiers = append(d.Tiers, Tier{})
		return p.tier(&d.Tiers[len(d.Tiers)-1])
	})
}

func (p *parser) tier(t *Tier) error {
	return p.object(func(name string) error {
		switch name {
		case "part":
			return p.string((*string)(&t.Part))
		case "quantity":
			return p.string(&t.Quantity)
		case "period":
			return p.time(&t.Period)
		case "before":
			return p.decimal(&t.Before, "a decimal as text")
		case "amount":
			return p.decimal(&t.Amount, "a decimal as text")
		}
		return p.unknown(name)
	})
}

func (p *parser) debitData(d *UsageData) error {
	var f faults
	if err := p.usageData(d, &f, ""); err != nil {
		return err
	}
	if first := f.problem(); first != nil {
		first.Path = string(p.dec.StackPointer()) + first.Path
		first.Also = nil
		return first
	}
	return nil
}

func (p *parser) position(to *Position) error {
	return p.object(func(name string) error {
		switch name {
		case "sequence":
			value, err := p.dec.ReadValue()
			if err == nil {
				if to.Sequence, err = strconv.ParseUint(string(value), 10, 64); err != nil {
					err = problem(CodeMalformed, string(p.dec.StackPointer()), "found %s; expected a sequence", found(value))
				}
			}
			return err
		case "index":
			return p.integer(&to.Index)
		case "stored_at":
			return p.time(&to.StoredAt)
		}
		return p.unknown(name)
	})
}

// quoted reads a JSON string and returns it as it stands.
func (p *parser) quoted(expected string) (jsontext.Value, error) {
	if p.dec.PeekKind() != '"' {
		return nil, p.wrong(expected)
	}
	return p.dec.ReadValue()
}

func (p *parser) string(to *string) error {
	value, err := p.quoted("text")
	if err == nil {
		*to = p.unquote(value)
	}
	return err
}

func (p *parser) time(to *time.Time) error {
	value, err := p.quoted("a time in RFC 3339")
	if err != nil {
		return err
	}
	t, ok := parseTime(string(value[1 : len(value)-1]))
	if !ok {
		return problem(CodeInvalid, string(p.dec.StackPointer()), "found %s; expected RFC 3339", found(value))
	}
	*to = t
	return nil
}

func (p *parser) credits(to *Credits) error {
	value, err := p.quoted("credits as text")
	if err != nil {
		return err
	}
	if *to, err = ParseCredits(string(value[1 : len(value)-1])); err != nil {
		return problem(CodeInvalid, string(p.dec.StackPointer()), "%v", err)
	}
	return nil
}

// decimal reads a number that its text holds.
func (p *parser) decimal(to encoding.TextUnmarshaler, expected string) error {
	value, err := p.quoted(expected)
	if err != nil {
		return err
	}
	if err := to.UnmarshalText(value[1 : len(value)-1]); err != nil {
		return problem(CodeInvalid, string(p.dec.StackPointer()), "%v", err)
	}
	return nil
}

func (p *parser) integer(to *int) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	if *to, err = strconv.Atoi(string(value)); err != nil {
		return problem(CodeMalformed, string(p.dec.StackPointer()), "found %s; expected a whole number", found(value))
	}
	return nil
}
