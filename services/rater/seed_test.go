package rater_test

import (
	"flag"

	_ "pgregory.net/rapid" // defines the flag
)

// Properties are checked with the same examples on every machine, so that a
// change is never refused for what another one brought; make fuzz looks for new
// ones.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}
