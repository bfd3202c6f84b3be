// Package condition is what a rate card may ask about a usage event in CEL, the
// Common Expression Language: is this rule the one, is this multiplier due. The
// same condition and event give the same answer; only a named time zone is what
// the machine's time zone database says, or the one built in where it has none.
//
// A condition sees operation, status (an int), project, key, account, plan
// (strings), time (a timestamp), attributes (strings by name) and quantities
// (doubles by name, for conditions only: money never passes through them). An
// attribute that is absent reads as "", a quantity as 0.0 (requests as 1.0);
// whether it is there, "name" in attributes and has(attributes.name) tell.
// attributes and quantities are read value by value and never as a whole.
//
// What does not compile, is not bool, fails for every event, or might cost too
// much is refused by Compile. What fails for one event is an error of Holds, and
// neither true nor false.
//
// Asking reads no file: a zone is read when it is first named, by Compile where
// its name is constant.
package condition
