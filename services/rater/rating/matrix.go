package rating

import (
	"fmt"
	"slices"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
)

// matrix is events.Matrix compiled.
type matrix struct {
	by       []string
	quantity string
	rates    map[string]*rate // by the values, each ended by a zero byte, which no value holds
	standard *rate            // nil when there is no default
}

// compileMatrix returns nil for no matrix.
func compileMatrix(m *events.Matrix) (*matrix, error) {
	if m == nil {
		return nil, nil
	}
	compiled := &matrix{by: m.By, quantity: m.Quantity, rates: make(map[string]*rate, len(m.Cells))}
	if compiled.quantity == "" {
		compiled.quantity = events.QuantityOfCalls
	}
	if len(m.By) == 0 || len(m.Cells) == 0 {
		return nil, fmt.Errorf("matrix: expected attributes and cells: %w", events.ErrInvalid)
	}
	for i, name := range m.By {
		if slices.Contains(m.By[:i], name) {
			return nil, fmt.Errorf("matrix: found attribute %.64q twice: %w", name, events.ErrInvalid)
		}
	}
	for i, cell := range m.Cells {
		if len(cell.Values) != len(m.By) {
			return nil, fmt.Errorf("matrix cell %d: found %d values, expected %d: %w", i+1, len(cell.Values), len(m.By), events.ErrInvalid)
		}
		var key []byte
		for _, value := range cell.Values {
			key = append(append(key, value...), 0)
		}
		if compiled.rates[string(key)] != nil {
			return nil, fmt.Errorf("matrix cell %d: found the values of another cell: %w", i+1, events.ErrInvalid)
		}
		r := newRate(cell.Price, m.Per, " ("+strings.Join(cell.Values, ", ")+")")
		compiled.rates[string(key)] = &r
	}
	if m.Default != nil {
		r := newRate(*m.Default, m.Per, " (default)")
		compiled.standard = &r
	}
	return compiled, nil
}

// term appends the term of the cell that d falls into.
func (m *matrix) term(terms []term, d *events.UsageData) ([]term, error) {
	var space [256]byte
	key := space[:0]
	for _, name := range m.by {
		key = append(append(key, d.Attributes[name]...), 0)
	}
	found := m.rates[string(key)]
	if found == nil {
		found = m.standard
	}
	if found == nil {
		return nil, m.missing(d)
	}
	return append(terms, term{units: d.Quantity(m.quantity).Total(), rate: found}), nil
}

func (m *matrix) missing(d *events.UsageData) error {
	values := make([]string, len(m.by))
	for i, name := range m.by {
		values[i] = fmt.Sprintf("%s=%.64q", name, d.Attributes[name])
	}
	return &unratable{"the matrix has no cell for " + strings.Join(values, ", ") + " and no default"}
}
