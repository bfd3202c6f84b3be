package rater

import "crypto/sha256"

// dedup remembers which usage events of a partition are charged, by 128 bits
// of a hash of their source and id: a collision among a billion events has a
// probability below 10^-20. It keeps them in memory, about 35 bytes each
// (BenchmarkDedupMemory measures it).
type dedup struct {
	seen map[eventKey]struct{}
}

// eventKey stands for the source and id of a usage event.
type eventKey [16]byte

func newDedup() *dedup { return &dedup{seen: make(map[eventKey]struct{})} }

// keyOf returns the key of the event that source and id name. No source holds
// a zero byte, so that no two pairs are hashed alike.
func keyOf(source, id string) eventKey {
	b := make([]byte, 0, 256)
	b = append(append(append(b, source...), 0), id...)
	sum := sha256.Sum256(b)
	return eventKey(sum[:16])
}

// add remembers k and reports whether it is new.
func (d *dedup) add(k eventKey) bool {
	before := len(d.seen)
	d.seen[k] = struct{}{}
	return len(d.seen) > before
}

func (d *dedup) has(k eventKey) bool {
	_, ok := d.seen[k]
	return ok
}

// remove forgets keys that were added for a chunk that was not written.
func (d *dedup) remove(keys []eventKey) {
	for _, k := range keys {
		delete(d.seen, k)
	}
}

func (d *dedup) len() int { return len(d.seen) }
