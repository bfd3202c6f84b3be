// Package catalog reads rate cards, plans and accounts as people write them:
// YAML or JSON, from a file or the body of a request.
//
// It is strict. An unknown or repeated key, a value of the wrong type, a second
// document or a value out of range is refused with its line and column and what
// was expected, and every such problem is reported, not only the first.
// Numbers are taken from the source text; none passes through a float. What is
// accepted here always compiles in the rater and always makes sense to the
// ledger's fold.
//
// It does not know what is already applied: versions, and plans that an account
// names, are checked by the fold.
package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	// MaxDocumentBytes bounds one rate card, plan or account.
	MaxDocumentBytes = 128 << 10

	problemsMax = 50
	nestingMax  = 100
)

// Problem is one fault in a document.
type Problem struct {
	Line   int    // from 1; 0 when the document as a whole is at fault
	Column int    // from 1, in characters
	Path   string // JSON pointer to the value, "/rules/2/price/flat"
	Detail string // what was found and what was expected
}

// Error lists everything wrong with a document, in the order of its lines. It
// matches events.ErrInvalid.
type Error struct {
	Name     string // of the file or request
	Problems []Problem
}

// Error returns one line per problem: file:line:column: path: detail.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Name)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		if p.Path != "" {
			b.WriteString(": " + p.Path)
		}
		b.WriteString(": " + p.Detail)
	}
	return b.String()
}

// Is reports that an Error is events.ErrInvalid.
func (e *Error) Is(target error) bool { return target == events.ErrInvalid }

// Check looks at a rate card that is well formed, and returns what is wrong with
// it all the same: problems with path and detail. Lines and columns are filled
// in.
type Check func(events.RateCard) []Problem

// ParseRateCard reads a rate card; name is the file's, for messages. A version
// in the document is ignored: it is assigned on apply. When it is well formed,
// each check looks at it. The error is an *Error.
func ParseRateCard(name string, src []byte, checks ...Check) (events.RateCard, error) {
	return parse(name, src, "a rate card", func(r *reader, body ast.Node) events.RateCard {
		card := r.rateCard(body)
		if len(r.problems) > 0 {
			return card
		}
		for _, check := range checks {
			for _, p := range check(card) {
				r.add(at(body, p.Path), p.Path, "%s", p.Detail)
			}
		}
		return card
	})
}

// ParsePlan reads a plan; name is the file's, for messages. The error is an
// *Error.
func ParsePlan(name string, src []byte) (events.Plan, error) {
	return parse(name, src, "a plan", (*reader).plan)
}

// ParseAccount reads the settings of an account; name is the file's, for
// messages. The id may be absent, where the request's path names it. The error
// is an *Error.
func ParseAccount(name string, src []byte) (events.Account, error) {
	return parse(name, src, "an account", (*reader).account)
}

func parse[T any](name string, src []byte, what string, read func(*reader, ast.Node) T) (T, error) {
	var r reader
	var result T
	if body := r.document(src, what); body != nil {
		result = read(&r, body)
	}
	if len(r.problems) == 0 {
		return result, nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	var none T
	return none, &Error{Name: name, Problems: r.problems}
}

// document returns the one document of src, or nil and a problem.
func (r *reader) document(src []byte, what string) ast.Node {
	if detail := unreadable(src); detail != "" {
		r.problems = append(r.problems, Problem{Detail: detail + "; expected " + what})
		return nil
	}
	if json.Valid(src) {
		src = bytes.ReplaceAll(src, []byte("\t"), []byte(" ")) // the parser counts no columns for tabs
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.problems = append(r.problems, syntaxProblem(err))
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if _, directive := d.Body.(*ast.DirectiveNode); directive {
			r.add(d.Body, "", "found a YAML directive; expected none")
			return nil
		}
		if body != nil {
			r.add(d.Body, "", "found a second document; expected one: %s", what)
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.problems = append(r.problems, Problem{Line: 1, Column: 1, Detail: "found an empty document; expected " + what})
	}
	return body
}

// unreadable says why src is not even parsed. The parser recurses and its cost
// grows faster than its input, so size and nesting are bounded first.
func unreadable(src []byte) string {
	switch {
	case len(src) > MaxDocumentBytes:
		return fmt.Sprintf("found %d bytes; at most %d are read", len(src), MaxDocumentBytes)
	case !utf8.Valid(src):
		return "found bytes that are not UTF-8"
	case bytes.IndexByte(src, 0) >= 0:
		return "found a zero byte"
	}
	depth := 0
	for _, c := range src {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > nestingMax {
			return fmt.Sprintf("found more than %d brackets open at once", nestingMax)
		}
	}
	for _, mark := range []string{"- ", "? ", ": "} {
		if bytes.Contains(src, bytes.Repeat([]byte(mark), nestingMax)) {
			return fmt.Sprintf("found %q repeated %d times", mark, nestingMax)
		}
	}
	return ""
}

func syntaxProblem(err error) Problem {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return Problem{Detail: "found " + clip(err.Error()) + "; expected YAML or JSON"}
	}
	p := Problem{Detail: syntax.GetMessage() + "; expected valid YAML or JSON"}
	if t := syntax.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	return p
}
