package emit_test

import (
	"flag"

	_ "pgregory.net/rapid" // defines the flags
)

// Properties are checked with the same examples on every machine, so that a
// change is never refused for what another one brought; make fuzz looks for new
// ones.
func init() {
	for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "3000"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}
