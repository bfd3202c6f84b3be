package events

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// EncodeChunk encodes c as the body of a LEDGER message. Equal chunks give equal
// bytes. It refuses what DecodeChunk would, because the ledger keeps every
// message for ever.
func EncodeChunk(c Chunk) ([]byte, error) {
	if p := c.check(); p != nil {
		return nil, fmt.Errorf("encode ledger chunk: %w", p)
	}
	b, err := appendChunk(nil, c)
	if err != nil {
		return nil, fmt.Errorf("encode ledger chunk: %w", err)
	}
	return b, nil
}

// appendChunk writes what json.Marshal would. Debits, which are nearly all of
// the ledger, are written without it: that takes a third of the time.
func appendChunk(b []byte, c Chunk) ([]byte, error) {
	b = append(b, '{')
	if c.Span != nil {
		span, err := json.Marshal(c.Span)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `"span":`...), span...)
	}
	if len(c.Entries) > 0 && c.Span != nil {
		b = append(b, ',')
	}
	for i := range c.Entries {
		b = append(b, separator(i, `"entries":[`)...)
		if c.Entries[i].Kind == EntryDebit {
			b = appendDebit(b, &c.Entries[i])
			continue
		}
		entry, err := json.Marshal(&c.Entries[i], json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		b = append(b, entry...)
	}
	if len(c.Entries) > 0 {
		b = append(b, ']')
	}
	if b = append(b, '}'); !utf8.Valid(b) { // appendText sees to that
		return nil, problem(CodeMalformed, "", "found text that is not UTF-8 in a debit")
	}
	return b, nil
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

// DecodeChunk decodes the body of a LEDGER message. It refuses anything that no
// writer of the ledger appends: its error matches ErrInvalid and names what it
// found.
func DecodeChunk(body []byte) (Chunk, error) {
	p := newParser(body)
	defer p.free()
	c, err := p.chunk()
	if err != nil {
		return Chunk{}, fmt.Errorf("decode ledger chunk: %w", jsonProblem(err))
	}
	if p := c.check(); p != nil {
		return Chunk{}, fmt.Errorf("decode ledger chunk: %w", p)
	}
	return c, nil
}

// check finds what makes a chunk not one of ours. What its entries do to an
// account is the fold's to judge.
func (c *Chunk) check() *Problem {
	if c.Span == nil && len(c.Entries) == 0 {
		return problem(CodeMissing, "", "the chunk is empty; expected a span or entries")
	}
	debits := 0
	for i := range c.Entries {
		if p := c.Entries[i].check(); p != nil {
			p.Path = fmt.Sprintf("/entries/%d%s", i, p.Path)
			return p
		}
		if c.Entries[i].Kind == EntryDebit {
			debits++
		}
	}
	switch s := c.Span; {
	case s == nil && debits > 0:
		return problem(CodeMissing, "/span", "absent from a chunk with debits; expected the usage events it settles")
	case s == nil:
	case s.Duplicates < 0 || s.Rejected < 0 || s.Events != debits+s.Duplicates+s.Rejected:
		return problem(CodeInvalid, "/span", "found %d events; expected %d debits + %d duplicates + %d rejected",
			s.Events, debits, s.Duplicates, s.Rejected)
	case s.Rewound && (s.Events != 0 || len(c.Entries) != 0):
		return problem(CodeInvalid, "/span", "found %d events and %d entries where usage goes back; expected none", s.Events, len(c.Entries))
	case s.Rewound && s.Through == (Position{}):
	case s.Through.Sequence == 0 || s.Through.Index < 0:
		return problem(CodeInvalid, "/span/through", "found sequence %d, index %d; expected a position in USAGE", s.Through.Sequence, s.Through.Index)
	}
	return nil
}

func (e *Entry) check() *Problem {
	set := 0
	for _, present := range []bool{e.Debit != nil, e.Grant != nil, e.Void != nil, e.Hold != nil, e.Capture != nil, e.Release != nil, e.Adjust != nil, e.Decline != nil, e.Correction != nil, e.Settings != nil, e.Plan != nil, e.RateCard != nil} {
		if present {
			set++
		}
	}
	own, wantAccount := e.content()
	switch {
	case own == "":
		return problem(CodeInvalid, "/kind", "found the unknown kind %s", clip(string(e.Kind)))
	case e.Kind == EntryTick && set != 0, e.Kind != EntryTick && set != 1, !e.has():
		return problem(CodeInvalid, "", "found %d contents in an entry of kind %s; expected %s", set, e.Kind, own)
	case wantAccount && !ValidAccount(e.Account):
		return problem(CodeInvalid, "/account", "found %s; expected an account", clip(e.Account))
	case !wantAccount && e.Account != "":
		return problem(CodeInvalid, "/account", "found %s in an entry of kind %s; expected none", clip(e.Account), e.Kind)
	case e.Debit != nil:
		return e.Debit.check()
	case e.Correction != nil:
		return e.Correction.check()
	}
	return nil
}

func (d *Debit) check() *Problem {
	switch {
	case d.Amount < 0:
		return problem(CodeInvalid, "/debit/amount", "found %s; expected 0 or more", d.Amount)
	case !encodableTime(d.Time):
		return problem(CodeInvalid, "/debit/time", "found the year %d; expected 0 to 9999", d.Time.UTC().Year())
	case !encodableTime(d.Position.StoredAt):
		return problem(CodeInvalid, "/debit/position/stored_at", "found the year %d; expected 0 to 9999", d.Position.StoredAt.UTC().Year())
	}
	for i := range d.Tiers {
		if p := d.Tiers[i].check(); p != nil {
			p.Path = fmt.Sprintf("/debit/tiers/%d%s", i, p.Path)
			return p
		}
	}
	return nil
}

func (t *Tier) check() *Problem {
	switch {
	case t.Part != PartGraduated && t.Part != PartVolume:
		return problem(CodeInvalid, "/part", "found %s; expected graduated or volume", clip(string(t.Part)))
	case !validName(t.Quantity):
		return problem(CodeInvalid, "/quantity", "found %s; expected the name of a quantity", clip(t.Quantity))
	case t.Period.IsZero() || !encodableTime(t.Period):
		return problem(CodeInvalid, "/period", "found the year %d; expected when a billing period started", t.Period.UTC().Year())
	case t.Amount.IsZero():
		return problem(CodeInvalid, "/amount", "found 0; expected a counter that moved")
	}
	if _, err := t.Before.Add(t.Amount.Total()); err != nil {
		return problem(CodeInvalid, "/before", "%v", err)
	}
	return nil
}

// content names the content an entry of its kind has, and whether it is about
// an account.
func (e *Entry) content() (name string, account bool) {
	switch e.Kind {
	case EntryDebit, EntryGrant, EntryVoid, EntryHold, EntryCapture, EntryRelease, EntryAdjust, EntryDecline, EntryCorrection:
		return string(e.Kind) + " alone", true
	case EntryAccount:
		return "settings alone", true
	case EntryTick:
		return "none", true
	case EntryPlan, EntryRateCard:
		return string(e.Kind) + " alone", false
	}
	return "", false
}

func (e *Entry) has() bool {
	switch e.Kind {
	case EntryDebit:
		return e.Debit != nil
	case EntryGrant:
		return e.Grant != nil
	case EntryVoid:
		return e.Void != nil
	case EntryHold:
		return e.Hold != nil
	case EntryCapture:
		return e.Capture != nil
	case EntryRelease:
		return e.Release != nil
	case EntryAdjust:
		return e.Adjust != nil
	case EntryDecline:
		return e.Decline != nil
	case EntryCorrection:
		return e.Correction != nil
	case EntryAccount:
		return e.Settings != nil
	case EntryPlan:
		return e.Plan != nil
	case EntryRateCard:
		return e.RateCard != nil
	}
	return true
}

// jsonProblem makes a problem of an error of json.Unmarshal.
func jsonProblem(err error) *Problem {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return malformed(err, "")
	}
	switch {
	case errors.Is(semantic.Err, json.ErrUnknownName):
		name := semantic.JSONPointer.LastToken()
		return problem(CodeInvalid, string(semantic.JSONPointer), "unknown field %s", clip(name))
	case semantic.Err != nil:
		return problem(CodeInvalid, string(semantic.JSONPointer), "%s", clipText(semantic.Err.Error()))
	}
	return problem(CodeMalformed, string(semantic.JSONPointer), "found %s; expected %v", kindName(jsontext.Kind(semantic.JSONKind)), semantic.GoType)
}
