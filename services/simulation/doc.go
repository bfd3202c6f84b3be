// Package simulation runs the real services under one seeded scheduler, and
// holds what they did against what they were given.
//
// The services are the shells and cores that ship. What lies around them is
// simulated: the broker (package simulated), ClickHouse, the disks and the
// clock. One scheduler decides, by a seed, what happens next: an append, its
// acknowledgement or the loss of either, a delivery to one of the readers, a
// crash, a pause, a cut connection, a partition that moves, a tail that is
// lost, time that passes. When the seed's workload is published the faults end,
// everything is let happen, and a naive audit that knows only what was
// published says whether anything was lost, doubled, reordered or stuck.
//
//	go test ./simulation -seeds 10000      as many seeds as that
//	go test ./simulation -seed 42 -v       one of them, with what happened
package simulation
