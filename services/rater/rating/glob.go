package rating

import (
	"fmt"
	"strings"

	"github.com/drawdown-credits/drawdown/events"
)

// glob matches an operation: * stands for any run of characters but "/", ** for
// any run, everything else for itself.
//
// What lies before the first star and behind the last is compared as text.
// Between them runs a bit-parallel automaton: state i means that i literal
// bytes are matched, and a star is a loop on the state it follows. A match
// costs at most one step of a few words per byte, whatever the pattern.
type glob struct {
	prefix, suffix string
	stars          bool // false: prefix is the whole pattern

	literals   int // of the part between the first star and the last
	loop       []uint64
	loopInside []uint64          // loops on any byte but "/"
	advance    map[byte][]uint64 // states that this byte carries on to the next
}

// globWords is enough for a state per byte of the longest operation.
const globWords = (events.MaxStringBytes + 1 + 63) / 64

type stateSet [globWords]uint64

// compileGlob reads pattern; it refuses three stars in a row, which could mean
// either of the two, and patterns longer than an operation may be.
func compileGlob(pattern string) (*glob, error) {
	if len(pattern) > events.MaxStringBytes {
		return nil, fmt.Errorf("operation glob of %d bytes: expected at most %d: %w", len(pattern), events.MaxStringBytes, events.ErrInvalid)
	}
	if strings.Contains(pattern, "***") {
		return nil, fmt.Errorf("operation glob %.64q: expected * or **, found ***: %w", pattern, events.ErrInvalid)
	}
	first := strings.IndexByte(pattern, '*')
	if first < 0 {
		return &glob{prefix: pattern}, nil
	}
	last := strings.LastIndexByte(pattern, '*')
	g := &glob{prefix: pattern[:first], suffix: pattern[last+1:], stars: true}
	g.compileMiddle(pattern[first : last+1])
	return g, nil
}

// compileMiddle builds the automaton of a pattern that begins and ends with a
// star.
func (g *glob) compileMiddle(pattern string) {
	g.literals = len(pattern) - strings.Count(pattern, "*")
	words := (g.literals + 1 + 63) / 64
	g.loop = make([]uint64, words)
	g.loopInside = make([]uint64, words)
	g.advance = map[byte][]uint64{}
	state := 0
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c != '*':
			if g.advance[c] == nil {
				g.advance[c] = make([]uint64, words)
			}
			set(g.advance[c], state)
			state++
		case i+1 < len(pattern) && pattern[i+1] == '*':
			set(g.loop, state)
			i++
		default:
			set(g.loopInside, state)
		}
	}
}

func set(bits []uint64, i int) { bits[i/64] |= 1 << (i % 64) }

func (g *glob) matches(s string) bool {
	if !g.stars {
		return s == g.prefix
	}
	if len(s) < len(g.prefix)+len(g.suffix) || !strings.HasPrefix(s, g.prefix) || !strings.HasSuffix(s, g.suffix) {
		return false
	}
	middle := s[len(g.prefix) : len(s)-len(g.suffix)]
	if g.literals == 0 { // one star: ** or *
		return g.loop[0]&1 == 1 || strings.IndexByte(middle, '/') < 0
	}
	return g.run(middle)
}

func (g *glob) run(s string) bool {
	var states stateSet
	words := len(g.loop)
	states[0] = 1
	for i := range len(s) {
		c := s[i]
		advance := g.advance[c]
		var carry, alive uint64
		for w := range words {
			now := states[w]
			next := now&g.loop[w] | carry
			if c != '/' {
				next |= now & g.loopInside[w]
			}
			carry = 0
			if advance != nil {
				moved := now & advance[w]
				next |= moved << 1
				carry = moved >> 63
			}
			states[w] = next
			alive |= next
		}
		if alive == 0 {
			return false
		}
	}
	return states[g.literals/64]>>(g.literals%64)&1 == 1
}
