package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/condition"
)

// reader walks a document and collects what is wrong with it. Its methods
// return the zero value for what they refuse.
type reader struct {
	problems []Problem
	cost     uint64        // of the conditions read since it was set to 0
	sum      condition.Sum // of the rules read
}

// add records a problem at n.
func (r *reader) add(n ast.Node, path, format string, args ...any) {
	if len(r.problems) == problemsMax {
		return
	}
	p := Problem{Path: path, Detail: fmt.Sprintf(format, args...)}
	p.Line, p.Column = position(n)
	r.problems = append(r.problems, p)
}

// position returns where n begins. The token of a block mapping is its first
// colon, so its first key stands for it.
func position(n ast.Node) (line, column int) {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return position(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(v.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// field is one value and where it stands.
type field struct {
	*reader
	node ast.Node
	path string
}

func (f field) refuse(format string, args ...any) { f.add(f.node, f.path, format, args...) }

// object is a mapping whose keys are all known.
type object struct {
	field
	fields map[string]field
}

// open reads a mapping with the known keys. Keys of the public contract that
// are not built yet are later; both they and unknown ones are refused.
func (f field) open(what string, known, later []string) object {
	o := object{field: f, fields: map[string]field{}}
	mapping, ok := f.node.(*ast.MappingNode)
	if !ok {
		f.refuse("found %s; expected %s with %s", kind(f.node), what, strings.Join(known, ", "))
		return o
	}
	seen := map[string]bool{}
	for _, pair := range mapping.Values {
		key, ok := keyText(pair.Key)
		at := field{f.reader, pair.Value, f.path + "/" + escapePointer(key)}
		switch {
		case !ok:
			f.add(pair.Key, f.path, "found %s as a key; expected a name", kind(pair.Key))
		case seen[key]:
			f.add(pair.Key, at.path, "found the key %s twice; expected it once", clip(key))
		case slices.Contains(later, key):
			f.add(pair.Key, at.path, "found %s, which is not supported yet; supported in %s: %s", key, what, strings.Join(known, ", "))
		case known != nil && !slices.Contains(known, key):
			f.add(pair.Key, at.path, "found the unknown key %s; expected %s", clip(key), strings.Join(known, ", "))
		default:
			o.fields[key] = at
		}
		seen[key] = true
	}
	return o
}

// optional calls read with the field, when it is there.
func (o object) optional(key string, read func(field)) {
	if f, ok := o.fields[key]; ok {
		read(f)
	}
}

// required does as optional, and misses an absent field.
func (o object) required(key, expected string, read func(field)) {
	if f, ok := o.fields[key]; ok {
		read(f)
		return
	}
	if _, ok := o.node.(*ast.MappingNode); !ok {
		return // already refused as a whole
	}
	for _, p := range o.problems {
		if p.Path == o.path+"/"+key {
			return // present, and refused
		}
	}
	o.add(o.node, o.path+"/"+key, "found nothing; expected %s", expected)
}

// any reports whether one of keys is there.
func (o object) any(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { _, ok := o.fields[key]; return ok })
}

// list returns the elements of a sequence of 1 to most.
func (f field) list(what string, most int) []field {
	sequence, ok := f.node.(*ast.SequenceNode)
	if !ok {
		f.refuse("found %s; expected a list of %s", kind(f.node), what)
		return nil
	}
	if n := len(sequence.Values); n == 0 || n > most {
		f.refuse("found %d %s; expected 1 to %d", n, what, most)
		return nil
	}
	elements := make([]field, len(sequence.Values))
	for i, n := range sequence.Values {
		elements[i] = field{f.reader, n, f.path + "/" + strconv.Itoa(i)}
	}
	return elements
}

// text returns a string of 1 to most bytes; expected says what kind of text.
func (f field) text(expected string, most int) (string, bool) {
	return f.textOf(expected, most, notText)
}

// textOf does as text, for text without the characters that bad reports.
func (f field) textOf(expected string, most int, bad func(rune) bool) (string, bool) {
	var s string
	switch n := f.node.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	default:
		f.refuse("found %s; expected %s", kind(f.node), expected)
		return "", false
	}
	switch {
	case s == "":
		f.refuse("found empty text; expected %s", expected)
	case len(s) > most:
		f.refuse("found %d bytes; expected %s of at most %d bytes", len(s), expected, most)
	case strings.ContainsFunc(s, bad):
		f.refuse("found %s; expected %s without control characters", clip(s), expected)
	default:
		return s, true
	}
	return "", false
}

// notText reports characters that the text of a usage event never holds.
func notText(c rune) bool {
	return unicode.IsControl(c) || c == unicode.ReplacementChar || c&0xfffe == 0xfffe || c >= 0xfdd0 && c <= 0xfdef
}

// oneOf returns a text that is one of values.
func (f field) oneOf(values ...string) (string, bool) {
	expected := strings.Join(values, ", ")
	s, ok := f.text(expected, events.MaxStringBytes)
	if ok && !slices.Contains(values, s) {
		f.refuse("found %s; expected %s", clip(s), expected)
		return "", false
	}
	return s, ok
}

// number returns the source text of a number, quoted or not.
func (f field) number(expected string) (string, bool) {
	switch n := f.node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	f.refuse("found %s; expected %s", kind(f.node), expected)
	return "", false
}

// at returns the node to which a JSON pointer leads from n, or the last one on
// the way there.
func at(n ast.Node, pointer string) ast.Node {
	for _, token := range strings.Split(pointer, "/")[1:] {
		next := child(n, token)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func child(n ast.Node, token string) ast.Node {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, pair := range n.Values {
			if key, ok := keyText(pair.Key); ok && escapePointer(key) == token {
				return pair.Value
			}
		}
	case *ast.SequenceNode:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Values) {
			return n.Values[i]
		}
	}
	return nil
}

func keyText(n ast.MapKeyNode) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kind says what n is, for messages.
func kind(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return "the text " + clip(n.Value)
	case *ast.LiteralNode:
		return "the text " + clip(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + clip(n.GetToken().Value)
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.NullNode, nil:
		return "nothing"
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AliasNode, *ast.AnchorNode:
		return "a YAML anchor or alias"
	case *ast.TagNode:
		return "a YAML tag"
	case *ast.MergeKeyNode:
		return "a YAML merge key"
	}
	return "YAML of another kind"
}

// clip quotes s for a message, shortened to a bound.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(s[:most], ""), len(s))
	}
	return strconv.Quote(s)
}

func escapePointer(key string) string {
	if len(key) > events.MaxNameBytes {
		key = strings.ToValidUTF8(key[:events.MaxNameBytes], "") + "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
