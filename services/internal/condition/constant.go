package condition

import (
	"fmt"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// constants works out, while a program is planned, the calls whose arguments are
// constant, and refuses those that fail for every event.
type constants struct{ source *ast.SourceInfo }

// fold is an interpreter.InterpretableDecoratorV2.
func (c constants) fold(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	args := call.Args()
	constant := true
	for _, arg := range args {
		constant = constant && value(arg) != nil
	}
	switch {
	case constant:
		result := call.Eval(interpreter.EmptyActivation())
		if failed, ok := result.(*types.Err); ok {
			return nil, c.never(call, failed.String())
		}
		return interpreter.NewConstValue(call.ID(), result), nil
	case len(args) != 2 || value(args[1]) == nil:
	case call.Function() == operators.Divide || call.Function() == operators.Modulo:
		if by := value(args[1]); by == types.IntZero || by == types.Uint(0) {
			return nil, c.never(call, "division by zero")
		}
	case accessors[call.Function()] != "":
		if failed, ok := access(call.Function(), types.Timestamp{}, value(args[1])).(*types.Err); ok {
			return nil, c.never(args[1], failed.String())
		}
	}
	return i, nil
}

// value returns that of a constant, or nil.
func value(i interpreter.InterpretableV2) ref.Val {
	if constant, ok := i.(interpreter.InterpretableConst); ok {
		return constant.Value()
	}
	return nil
}

// never refuses what fails for every event.
func (c constants) never(at interpreter.InterpretableV2, why string) *Error {
	place := c.source.GetStartLocation(at.ID())
	return &Error{place.Line(), place.Column() + 1, fmt.Sprintf("found what fails for every event: %s; expected what has a value", why)}
}
