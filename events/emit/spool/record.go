package spool

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Record is one event in the spool.
type Record struct {
	Partition int
	Kept      time.Time // when it was put into the spool, to the microsecond
	Time      time.Time // the event's own time, to the microsecond
	Event     []byte    // the structured event
}

// MaxEvent bounds Record.Event, in bytes.
const MaxEvent = 1 << 20

// A record is a header and the event. The header, little-endian:
//
//	 0  CRC-32C of the header's other bytes
//	 4  length of the event, 1 to MaxEvent
//	 8  partition
//	12  CRC-32C of the event
//	16  when kept, µs since 1970
//	24  the event's time, µs since 1970
const headerBytes = 32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// size is how many bytes r takes in a segment.
func (r *Record) size() int64 { return headerBytes + int64(len(r.Event)) }

// appendRecord appends r to b.
func appendRecord(b []byte, r *Record) []byte {
	start := len(b)
	b = append(b, make([]byte, headerBytes)...)
	h := b[start:]
	binary.LittleEndian.PutUint32(h[4:], uint32(len(r.Event)))
	binary.LittleEndian.PutUint32(h[8:], uint32(r.Partition))
	binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(r.Event, castagnoli))
	binary.LittleEndian.PutUint64(h[16:], uint64(r.Kept.UnixMicro()))
	binary.LittleEndian.PutUint64(h[24:], uint64(r.Time.UnixMicro()))
	binary.LittleEndian.PutUint32(h, crc32.Checksum(h[4:headerBytes], castagnoli))
	return append(b, r.Event...)
}

// content is what a segment's bytes hold.
type content struct {
	records []Record // their events share the segment's memory
	damaged int      // bytes that belong to no record
	end     int      // where the last record ends
}

// decode finds the records in data. Bytes that are no record are passed over
// one by one until a record starts, so that damage costs only what it hit.
func decode(data []byte) (c content) {
	for at := 0; at < len(data); {
		r, ok := decodeRecord(data[at:])
		if !ok {
			at++
			c.damaged++
			continue
		}
		at += int(r.size())
		c.records = append(c.records, r)
		c.end = at
	}
	return c
}

// decodeRecord reads the record that b starts with.
func decodeRecord(b []byte) (r Record, ok bool) {
	if len(b) < headerBytes {
		return r, false
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length == 0 || length > MaxEvent || uint64(len(b)-headerBytes) < uint64(length) {
		return r, false
	}
	if binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:headerBytes], castagnoli) {
		return r, false
	}
	event := b[headerBytes : headerBytes+length : headerBytes+length]
	if binary.LittleEndian.Uint32(b[12:]) != crc32.Checksum(event, castagnoli) {
		return r, false
	}
	return Record{
		Partition: int(binary.LittleEndian.Uint32(b[8:])),
		Kept:      time.UnixMicro(int64(binary.LittleEndian.Uint64(b[16:]))).UTC(),
		Time:      time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		Event:     event,
	}, true
}
