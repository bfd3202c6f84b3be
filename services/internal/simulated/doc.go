// Package simulated is the world of the services without a network, a disk or a
// clock of its own: a message broker of which every single effect happens when,
// and only if, a scheduler says so.
//
// A Server holds the streams, as NATS does: the same sequences, fences,
// wildcards and buckets (package streamsuite holds the two side by side). A
// Client is one service's connection to it, a stream.Broker. What a service
// asks waits as an Operation until the scheduler performs it, loses it, or
// performs it and loses the answer; what it reads waits in a Delivery. Crashes,
// cuts and lost tails are the scheduler's too. The order in which things are
// offered depends on what they are alone, so that a seeded scheduler finds the
// same world again.
//
// It runs in a bubble of testing/synctest, and nothing in it waits for real
// time. It is for tests.
package simulated
