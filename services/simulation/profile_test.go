package simulation

import "math/rand/v2"

// profile says how often each fault comes, as one in so many steps; 0 is
// never. A seed draws its own, because a world in which everything fails all
// the time reaches less than one in which some things do.
type profile struct {
	lose       int // an effect never happens, and its caller is told that nobody knows
	mute       int // an effect happens, and its caller is told that nobody knows
	refuse     int // an operation ends in an error before it began
	late       int // an operation whose caller is gone happens all the same
	slow       int // an answer waits
	crash      int // an instance dies and comes back
	restart    int // an instance ends in order and comes back
	cut        int // a connection is lost and comes back
	powerCut   int // the broker dies and comes back, without the end of what it does not sync
	pause      int // an instance stands still for a while
	handover   int // a partition moves
	leap       int // much time passes at once
	time       int // a little time passes
	publishing int // something is published
	batchRows  int // of ClickHouse
	snapshots  int // a snapshot after so many entries
}

func newProfile(rng *rand.Rand) profile {
	sometimes := func(often int) int {
		switch rng.IntN(3) {
		case 0:
			return 0
		case 1:
			return often
		}
		return 4 * often
	}
	return profile{
		lose: sometimes(15), mute: sometimes(15), refuse: sometimes(25), late: 1 + rng.IntN(3), slow: sometimes(4),
		crash: sometimes(40), restart: sometimes(60), cut: sometimes(60), powerCut: sometimes(150), pause: sometimes(60), handover: sometimes(60),
		leap: sometimes(30), time: 5 + rng.IntN(30), publishing: 3 + rng.IntN(30),
		batchRows: 1 + rng.IntN(20), snapshots: 1 + rng.IntN(40),
	}
}
