// Package schematest has no code of its own: its tests check that what Drawdown
// really encodes is what its JSON Schemas describe. They stand here because the
// schemas module has no dependencies.
package schematest
