package dedup

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key stands for the source and id of a usage event, by 128 bits of a hash of
// them: a collision among a billion events has a probability below 10^-20.
type Key [16]byte

// KeyOf returns the key of the event that source and id name. No source holds a
// zero byte, so that no two pairs are hashed alike.
func KeyOf(source, id string) Key {
	b := make([]byte, 0, 256)
	b = append(append(append(b, source...), 0), id...)
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}

// What an index holds, by the first byte of the key in the database.
const (
	kindState = 0 // the state, alone
	kindEvent = 1 // then the generation and the Key, without a value
	kindCount = 2 // then the CounterKey, with its Count
)

var stateKey = []byte{kindState}

// generation numbers the times of one length, so that a later one has a higher
// number.
type generation uint32

const prefixBytes = 1 + 4

func (g generation) appendPrefix(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, kindEvent), uint32(g))
}
