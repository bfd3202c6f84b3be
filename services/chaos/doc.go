// Command chaos proves what Drawdown promises, on real parts: the built binary,
// the genuine nats-server, alone or as a cluster of three, and the genuine
// ClickHouse engine, each a process of its own on loopback, with every
// connection between them through a proxy that can be cut.
//
// Producers send usage whose outcome is certain, grants and voids race it, and
// a schedule made of a seed kills, pauses, cuts off, fills and misleads one
// part after the other. At the end everything is healed, the system has to
// settle by itself, and an oracle that shares no code with the product compares
// what should be with what is. The report names the seed, which makes the same
// content and the same schedule again; the exit status is 1 when anything
// differs.
//
//	go run ./chaos -events 5000000 -faults 200
//
// No duration is ever judged, but for a bound on settling that is far above
// what settling takes.
package main
