package dedup

import (
	"encoding/binary"
	"math/bits"
)

const (
	filterBits   = 10      // for each key; about one in a hundred others passes
	filterProbes = 7       // of 9 bits each, all in one block
	filterMin    = 1 << 14 // keys
)

// filter says of most keys that were never added that they were not. It is a
// Bloom filter whose probes for a key lie in one line of the processor's cache.
// Keys are hashes, so it needs none of its own.
type filter struct {
	blocks [][8]uint64
	room   int // for keys
}

func newFilter(keys int) *filter {
	keys = max(keys, filterMin)
	return &filter{blocks: make([][8]uint64, (keys*filterBits+511)/512), room: keys}
}

func (f *filter) add(k Key) {
	block, probes := f.at(k)
	for range filterProbes {
		block[probes>>6&7] |= 1 << (probes & 63)
		probes >>= 9
	}
	f.room--
}

func (f *filter) mayHave(k Key) bool {
	block, probes := f.at(k)
	for range filterProbes {
		if block[probes>>6&7]&(1<<(probes&63)) == 0 {
			return false
		}
		probes >>= 9
	}
	return true
}

func (f *filter) at(k Key) (block *[8]uint64, probes uint64) {
	n, _ := bits.Mul64(binary.BigEndian.Uint64(k[:]), uint64(len(f.blocks)))
	return &f.blocks[n], binary.BigEndian.Uint64(k[8:])
}

// filters are those of one generation. Nothing passes them that was never
// added, but for the few that a filter errs on.
type filters struct {
	parts []*filter // the last one grows
}

func (s *filters) add(k Key) {
	if n := len(s.parts); n == 0 || s.parts[n-1].room == 0 {
		s.parts = append(s.parts, newFilter(s.size()))
	}
	s.parts[len(s.parts)-1].add(k)
}

// size is how many keys the next part takes: as many as all before it.
func (s *filters) size() (keys int) {
	for _, f := range s.parts {
		keys += len(f.blocks) * 512 / filterBits
	}
	return keys
}

func (s *filters) mayHave(k Key) bool {
	for _, f := range s.parts {
		if f.mayHave(k) {
			return true
		}
	}
	return false
}
