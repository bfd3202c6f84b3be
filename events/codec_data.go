package events

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// usageData reads the data of a usage event. Unlike the event's attributes its
// members are all ours: an unknown one is a fault, because a misspelt quantity
// would otherwise be free.
func (p *parser) usageData(d *UsageData, f *faults, path string) error {
	if p.dec.PeekKind() != '{' {
		return p.notAnObject(f, path)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := p.dataMember(d, f, path, name); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

func (p *parser) dataMember(d *UsageData, f *faults, path string, quoted jsontext.Value) error {
	switch string(quoted) {
	case `"operation"`:
		return p.dataText(&d.Operation, f, path, "operation")
	case `"project"`:
		return p.dataText(&d.Project, f, path, "project")
	case `"key"`:
		return p.dataText(&d.Key, f, path, "key")
	case `"status"`:
		return p.status(&d.Status, f, path)
	case `"quantities"`:
		return p.quantities(d, f, path)
	case `"attributes"`:
		return p.attributes(d, f, path)
	}
	name := p.unquote(quoted)
	f.add(CodeInvalid, path+"/"+escapePointer(name),
		"unknown field %s; expected operation, status, project, key, quantities or attributes", clip(name))
	return p.dec.SkipValue()
}

func (p *parser) dataText(to *string, f *faults, path, name string) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	if value.Kind() != '"' {
		f.add(CodeMalformed, path+"/"+name, "found %s; expected text", found(value))
		return nil
	}
	*to = p.unquote(value)
	return nil
}

func (p *parser) status(to *int, f *faults, path string) error {
	value, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(string(value))
	if value.Kind() != '0' || err != nil {
		f.add(CodeMalformed, path+"/status", "found %s; expected a whole number from 100 to 599", found(value))
		return nil
	}
	*to = status
	return nil
}

func (p *parser) quantities(d *UsageData, f *faults, path string) error {
	return p.members(f, path, "quantities", MaxQuantities, func(name string, value jsontext.Value) {
		quantity, problem := p.quantity(value)
		if problem != nil {
			f.add(problem.Code, path+"/quantities/"+escapePointer(name), "%s", problem.Detail)
			return
		}
		if d.Quantities == nil {
			d.Quantities = make(map[string]Quantity)
		}
		d.Quantities[name] = quantity
	})
}

// quantity reads a number or a text from its digits, never by way of a float.
func (p *parser) quantity(value jsontext.Value) (Quantity, *Problem) {
	digits := value
	switch value.Kind() {
	case '0':
	case '"':
		digits = value[1 : len(value)-1]
	default:
		return Quantity{}, problem(CodeMalformed, "", "found %s; expected a decimal as number or text", found(value))
	}
	if q, ok := plainQuantity(digits); ok {
		return q, nil
	}
	text := string(digits)
	if value.Kind() == '"' {
		text = p.unquote(value)
	}
	q, err := ParseQuantity(text)
	if err != nil {
		return Quantity{}, problem(CodeInvalid, "", "%v", err)
	}
	return q, nil
}

func (p *parser) attributes(d *UsageData, f *faults, path string) error {
	return p.members(f, path, "attributes", MaxAttributes, func(name string, value jsontext.Value) {
		if value.Kind() != '"' {
			f.add(CodeMalformed, path+"/attributes/"+escapePointer(name), "found %s; expected text", found(value))
			return
		}
		if d.Attributes == nil {
			d.Attributes = make(map[string]string)
		}
		d.Attributes[name] = p.unquote(value)
	})
}

// members reads an object of up to limit members, each by read.
func (p *parser) members(f *faults, path, name string, limit int, read func(string, jsontext.Value)) error {
	if p.dec.PeekKind() != '{' {
		return p.notAnObject(f, path+"/"+name)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	count := 0
	for ; p.dec.PeekKind() == '"'; count++ {
		quoted, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		member := p.unquote(quoted)
		value, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if count < limit {
			read(member, value)
		}
	}
	if count > limit {
		f.add(CodeInvalid, path+"/"+name, "found %d %s; expected at most %d", count, name, limit)
	}
	_, err := p.dec.ReadToken()
	return err
}
