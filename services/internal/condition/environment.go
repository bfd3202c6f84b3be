package condition

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"

	"github.com/drawdown-credits/drawdown/events"
)

// Bounds of what the parser builds of a condition.
const (
	nodesMax   = 1000 // of its syntax tree
	nestingMax = 50   // of parentheses and calls in each other
)

// environment declares the variables and functions of all conditions.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(append(inZones(),
		cel.Variable("operation", cel.StringType),
		cel.Variable("status", cel.IntType),
		cel.Variable("project", cel.StringType),
		cel.Variable("key", cel.StringType),
		cel.Variable("account", cel.StringType),
		cel.Variable("plan", cel.StringType),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("quantities", cel.MapType(cel.StringType, cel.DoubleType)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxBytes),
		cel.ParserRecursionLimit(nestingMax),
		cel.ExpressionNodeLimit(nodesMax),
	)...)
})

// sizes tells CEL's estimate how large the variables can be.
type sizes struct{}

// EstimateCallCost leaves the cost of functions to CEL.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize returns the most characters or elements that a node can have.
func (sizes) EstimateSize(element cost.AstNode) *cost.SizeEstimate {
	path := element.Path()
	if len(path) == 0 {
		return nil
	}
	most := uint64(events.MaxStringBytes)
	switch last := path[len(path)-1]; {
	case last == "@keys", path[0] == "account", path[0] == "plan":
		most = events.MaxNameBytes
	case len(path) == 1 && path[0] == "attributes":
		most = events.MaxAttributes
	case len(path) == 1 && path[0] == "quantities":
		most = events.MaxQuantities
	}
	return &cost.SizeEstimate{Max: most}
}

// wholeMaps refuses attributes and quantities where they are not read value by
// value: what is absent from them has a value, so that no two ways of seeing
// them as a whole would agree.
func wholeMaps(a *ast.AST) *Error {
	sound := map[int64]bool{} // nodes that may be a whole map
	var found *Error
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			sound[e.AsSelect().Operand().ID()] = true
		case ast.ComprehensionKind:
			sound[e.AsComprehension().IterRange().ID()] = true
		case ast.CallKind:
			if operand, ok := reads(e.AsCall()); ok {
				sound[operand.ID()] = true
			}
		case ast.IdentKind:
			name := e.AsIdent()
			if (name == "attributes" || name == "quantities") && !sound[e.ID()] && found == nil {
				at := a.SourceInfo().GetStartLocation(e.ID())
				found = &Error{at.Line(), at.Column() + 1, "found " + name + " as a whole; expected one value of it, such as " + name + "[\"name\"]"}
			}
		}
	}))
	return found
}

// contains reports whether an expression of that kind is in a.
func contains(a *ast.AST, kind func(ast.Expr) bool) (found bool) {
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) { found = found || kind(e) }))
	return found
}

// reads returns the operand of a call that reads a map value by value.
func reads(c ast.CallExpr) (ast.Expr, bool) {
	args := c.Args()
	switch {
	case c.FunctionName() == operators.Index && len(args) == 2:
		return args[0], true
	case c.FunctionName() == operators.In && len(args) == 2:
		return args[1], true
	case c.FunctionName() == "size" && c.IsMemberFunction():
		return c.Target(), true
	case c.FunctionName() == "size" && len(args) == 1:
		return args[0], true
	}
	return nil, false
}
