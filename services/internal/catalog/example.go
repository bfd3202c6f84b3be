package catalog

import (
	"maps"
	"slices"
	"strconv"

	"github.com/drawdown-credits/drawdown/events"
)

func (f field) examples() []events.Example {
	var examples []events.Example
	for _, element := range f.list("examples", examplesMax) {
		examples = append(examples, element.example())
	}
	return examples
}

func (f field) example() events.Example {
	var example events.Example
	o := f.open("an example", []string{"event", "credits"}, nil)
	o.required("event", "a call such as {operation: \"GET /search\"}", func(f field) { example.Event = f.exampleEvent() })
	o.required("credits", "what the call costs", func(f field) {
		example.Credits, _ = f.amount("credits of 0 or more such as \"1.25\"", 0)
	})
	return example
}

func (f field) exampleEvent() events.ExampleEvent {
	var e events.ExampleEvent
	o := f.open("a call", []string{"operation", "status", "project", "key", "account", "plan", "time", "quantities", "attributes", "used"}, nil)
	o.required("operation", "what is called, such as \"GET /search\"", func(f field) {
		e.Operation, _ = f.text("what is called, such as \"GET /search\"", events.MaxStringBytes)
	})
	o.optional("status", func(f field) { e.Status = f.statusNumber() })
	o.optional("project", func(f field) { e.Project, _ = f.text("a project", events.MaxStringBytes) })
	o.optional("key", func(f field) { e.Key, _ = f.text("a key", events.MaxStringBytes) })
	o.optional("account", func(f field) { e.Account = f.name() })
	o.optional("plan", func(f field) { e.Plan = f.name() })
	o.optional("time", func(f field) { e.Time = f.time() })
	o.optional("quantities", func(f field) { e.Quantities = f.quantities() })
	o.optional("attributes", func(f field) { e.Attributes = f.attributes() })
	o.optional("used", func(f field) { e.Used = f.quantities() })
	return e
}

func (f field) statusNumber() int {
	const expected = "a status from 100 to 599"
	s, ok := f.number(expected)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		f.refuse("found %s; expected %s", clip(s), expected)
	}
	return n
}

func (f field) quantities() map[string]events.Quantity {
	o := f.open("quantities by name", nil, nil)
	if n := len(o.fields); n > events.MaxQuantities {
		f.refuse("found %d quantities; expected at most %d", n, events.MaxQuantities)
		return nil
	}
	quantities := make(map[string]events.Quantity, len(o.fields))
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		value := o.fields[name]
		if !validQuantityName(name) {
			value.refuse("found the name %s; expected %s", clip(name), aQuantityName)
		}
		quantities[name], _ = value.quantity("a decimal of 0 or more such as \"12.5\"")
	}
	return quantities
}
