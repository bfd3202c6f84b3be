package condition

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/drawdown-credits/drawdown/events"
)

// attributes are those of a usage event, as CEL reads a map: by Get, which knows
// a value for what is absent, and by IsSet and Contains, which tell the truth.
// It is deliberately no traits.Mapper, which could not tell the two apart.
type attributes struct {
	opaque
	named map[string]string
}

// Get returns the value of a name, "" when it is absent.
func (a *attributes) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	return types.String(a.named[string(name)])
}

// Contains reports whether a name is there.
func (a *attributes) Contains(index ref.Val) ref.Val { return a.IsSet(index) }

// IsSet reports whether a name is there.
func (a *attributes) IsSet(index ref.Val) ref.Val { return isSet(a.named, index) }

// Size returns how many there are.
func (a *attributes) Size() ref.Val { return types.Int(len(a.named)) }

// Iterator visits the names in their order.
func (a *attributes) Iterator() traits.Iterator { return names(a.named) }

// quantities are those of a usage event; see attributes.
type quantities struct {
	opaque
	data *events.UsageData
}

// Get returns a quantity, 0 when it is absent, and 1 for absent requests.
func (q *quantities) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	return types.Double(q.data.Quantity(string(name)).Float64())
}

// Contains reports whether a name is there.
func (q *quantities) Contains(index ref.Val) ref.Val { return q.IsSet(index) }

// IsSet reports whether a name is there.
func (q *quantities) IsSet(index ref.Val) ref.Val { return isSet(q.data.Quantities, index) }

// Size returns how many there are.
func (q *quantities) Size() ref.Val { return types.Int(len(q.data.Quantities)) }

// Iterator visits the names in their order.
func (q *quantities) Iterator() traits.Iterator { return names(q.data.Quantities) }

func isSet[V any](named map[string]V, index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	_, there := named[string(name)]
	return types.Bool(there)
}

// names visits sorted names, because the order of a map is random.
func names[V any](named map[string]V) traits.Iterator {
	return types.DefaultTypeAdapter.NativeToValue(slices.Sorted(maps.Keys(named))).(traits.Lister).Iterator()
}

// opaque is a CEL map that nothing converts or compares as a whole; Compile sees
// to it that nothing tries.
type opaque struct{}

var errOpaque = errors.New("found a whole map; expected one value of it")

// ConvertToNative refuses.
func (opaque) ConvertToNative(reflect.Type) (any, error) { return nil, errOpaque }

// ConvertToType refuses.
func (opaque) ConvertToType(ref.Type) ref.Val { return types.WrapErr(errOpaque) }

// Equal refuses.
func (opaque) Equal(ref.Val) ref.Val { return types.WrapErr(errOpaque) }

// Type is that of a map.
func (opaque) Type() ref.Type { return types.MapType }

// Value returns nothing.
func (opaque) Value() any { return nil }
