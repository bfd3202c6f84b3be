package rating

import (
	"fmt"
	"maps"
	"slices"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

// match is events.Match compiled; the zero value matches everything.
type match struct {
	operation  *glob // nil matches any
	status     statusRange
	project    string
	plan       string
	attributes []attribute
	when       *condition.Condition // nil holds
}

type attribute struct{ name, value string }

// statusRange is first to last; last 0 matches any status and none.
type statusRange struct{ first, last int }

func compileMatch(m events.Match) (match, error) {
	compiled := match{project: m.Project, plan: m.Plan}
	var err error
	if m.Operation != "" {
		if compiled.operation, err = compileGlob(m.Operation); err != nil {
			return match{}, err
		}
	}
	if compiled.status, err = compileStatus(m.Status); err != nil {
		return match{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		compiled.attributes = append(compiled.attributes, attribute{name, m.Attributes[name]})
	}
	if m.When != "" {
		if compiled.when, err = condition.Compile(m.When); err != nil {
			return match{}, fmt.Errorf("match: %w", err)
		}
	}
	return compiled, nil
}

// compileStatus reads "404" or "4xx".
func compileStatus(s string) (statusRange, error) {
	if s == "" {
		return statusRange{}, nil
	}
	if len(s) == 3 && s[0] >= '1' && s[0] <= '5' {
		hundreds := int(s[0]-'0') * 100
		if s[1:] == "xx" {
			return statusRange{hundreds, hundreds + 99}, nil
		}
		if s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9' {
			exact := hundreds + int(s[1]-'0')*10 + int(s[2]-'0')
			return statusRange{exact, exact}, nil
		}
	}
	return statusRange{}, fmt.Errorf("status %.64q: expected a status such as \"404\" or a class such as \"4xx\": %w", s, events.ErrInvalid)
}

// matches reports whether every condition of m holds. What is cheap is looked
// at first, and the condition in CEL last.
func (m *match) matches(e *event) (bool, error) {
	if !m.describes(&e.usage.Data) || m.plan != "" && m.plan != e.context.Plan {
		return false, nil
	}
	if m.when == nil {
		return true, nil
	}
	return e.holds(m.when)
}

func (m *match) describes(d *events.UsageData) bool {
	if m.project != "" && m.project != d.Project {
		return false
	}
	if m.status.last != 0 && (d.Status < m.status.first || d.Status > m.status.last) {
		return false
	}
	for _, a := range m.attributes {
		if value, ok := d.Attributes[a.name]; !ok || value != a.value {
			return false
		}
	}
	return m.operation == nil || m.operation.matches(d.Operation)
}
