package condition

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/drawdown-credits/drawdown/events"
)

// Bounds of a condition. Costs are counted in CEL's own units, of which one
// comparison takes a few.
const (
	// MaxBytes is the longest condition.
	MaxBytes = 4096
	// EstimateMax is what a condition may cost for the largest event there can
	// be, by an estimate when it is compiled.
	EstimateMax = 20_000
	// RunMax is what one with loops may cost for one event. The estimate is meant
	// to be the worst case, so only a wrong estimate comes this far. Without a
	// loop nothing runs twice, and to count would take longer than to run.
	RunMax = 20_000
)

// Condition is a compiled condition. It is immutable and safe for use by several
// goroutines.
type Condition struct {
	program cel.Program
	cost    uint64
	plan    bool
}

// Cost returns what the condition may cost for the largest event there can be,
// by an estimate.
func (c *Condition) Cost() uint64 { return c.cost }

// ReadsPlan reports whether the condition looks at the account's plan.
func (c *Condition) ReadsPlan() bool { return c.plan }

// Error says where a condition is wrong. It matches events.ErrInvalid.
type Error struct {
	Line, Column int    // from 1, in characters
	Detail       string // what was found and what was expected
}

// Error returns the place and the detail.
func (e *Error) Error() string {
	return fmt.Sprintf("condition, line %d, column %d: %s", e.Line, e.Column, e.Detail)
}

// Is reports that an Error is events.ErrInvalid.
func (e *Error) Is(target error) bool { return target == events.ErrInvalid }

// Compile compiles source. Its error is an *Error when source is wrong; any other
// says that no condition can be compiled.
func Compile(source string) (*Condition, error) { return compile(source, EstimateMax, RunMax) }

func compile(source string, estimateMax, runMax uint64) (*Condition, error) {
	if strings.TrimSpace(source) == "" {
		return nil, &Error{1, 1, "found nothing; expected " + aCondition}
	}
	if len(source) > MaxBytes {
		return nil, &Error{1, 1, fmt.Sprintf("found %d bytes; expected at most %d", len(source), MaxBytes)}
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("prepare conditions: %w", err)
	}
	compiled, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, wrong(issues)
	}
	if compiled.OutputType() != cel.BoolType {
		return nil, &Error{1, 1, fmt.Sprintf("found an expression of type %s; expected %s", compiled.OutputType(), aCondition)}
	}
	if e := wholeMaps(compiled.NativeRep()); e != nil {
		return nil, e
	}
	cost, err := env.EstimateCost(compiled, sizes{})
	if err != nil {
		return nil, &Error{1, 1, fmt.Sprintf("estimate its cost: %v", err)}
	}
	if cost.Max > estimateMax {
		return nil, &Error{1, 1, fmt.Sprintf("found a condition that may cost %d; expected at most %d: compare less text, or loop over less", cost.Max, estimateMax)}
	}
	program, err := plan(env, compiled, runMax)
	if err != nil {
		return nil, err
	}
	readsPlan := contains(compiled.NativeRep(), func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "plan" })
	return &Condition{program: program, cost: cost.Max, plan: readsPlan}, nil
}

// plan makes a program that ends at runMax, where it has loops.
func plan(env *cel.Env, compiled *cel.Ast, runMax uint64) (cel.Program, error) {
	a := compiled.NativeRep()
	options := []cel.ProgramOption{cel.CustomDecoratorV2(constants{a.SourceInfo()}.fold), cel.EvalOptions(cel.OptOptimize)}
	if contains(a, func(e ast.Expr) bool { return e.Kind() == ast.ComprehensionKind }) {
		options = append(options, cel.CostLimit(runMax))
	}
	program, err := env.Program(compiled, options...)
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		return nil, &Error{1, 1, fmt.Sprintf("found %v; expected %s", err, aCondition)}
	}
	return program, err
}

const (
	aCondition = "a condition in CEL that is true or false, such as attributes[\"render\"] == \"js\""
	variables  = "operation, status, project, key, account, plan, time, attributes and quantities"
)

// wrong makes an Error of the first thing that CEL found.
func wrong(issues *cel.Issues) *Error {
	first := issues.Errors()[0]
	expected := aCondition
	message, _, _ := strings.Cut(strings.TrimPrefix(first.Message, "found "), " (in container")
	if strings.HasPrefix(message, "undeclared reference") {
		expected = "the variables " + variables + ", and CEL's functions"
	}
	return &Error{
		Line: max(first.Location.Line(), 1), Column: max(first.Location.Column(), 0) + 1,
		Detail: fmt.Sprintf("found %s; expected %s", strings.Join(strings.Fields(message), " "), expected),
	}
}

// Input is what a condition is asked about. The usage event must not change
// meanwhile. It may be asked by one goroutine at a time.
type Input struct {
	Usage *events.Usage
	Plan  string // the account's

	attributes attributes
	quantities quantities
}

// Holds reports whether the condition holds for in. Its error says why there is
// no answer.
func (c *Condition) Holds(in *Input) (bool, error) {
	out, _, err := c.program.Eval(in)
	if err != nil {
		return false, fmt.Errorf("evaluate the condition: %w", err)
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("evaluate the condition: found %s; expected true or false", out.Type().TypeName())
	}
	return bool(holds), nil
}

// Parent returns nil: an Input is all that a condition sees.
func (in *Input) Parent() interpreter.Activation { return nil }

// ResolveName gives CEL the variable of that name.
func (in *Input) ResolveName(name string) (any, bool) {
	u := in.Usage
	switch name {
	case "operation":
		return types.String(u.Data.Operation), true
	case "status":
		return types.Int(u.Data.Status), true
	case "project":
		return types.String(u.Data.Project), true
	case "key":
		return types.String(u.Data.Key), true
	case "account":
		return types.String(u.Account), true
	case "plan":
		return types.String(in.Plan), true
	case "time":
		return types.Timestamp{Time: u.Time.UTC()}, true
	case "attributes":
		in.attributes.named = u.Data.Attributes
		return &in.attributes, true
	case "quantities":
		in.quantities.data = &u.Data
		return &in.quantities, true
	}
	return nil, false
}
