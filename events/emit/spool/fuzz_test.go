package spool

import (
	"bytes"
	"testing"
	"time"
)

// FuzzDecode damages a segment at one place and cuts it at another: every byte
// is accounted for, and each record that the damage did not touch is found.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("one"), uint16(0), []byte("x"), uint16(9999))
	f.Add(bytes.Repeat([]byte(`{"id":"7"}`), 20), uint16(70), []byte{0xff, 0, 0}, uint16(400))
	f.Add(appendRecord(nil, &Record{Event: []byte("a record in an event")}), uint16(33), []byte{1}, uint16(200))
	f.Fuzz(func(t *testing.T, event []byte, at uint16, damage []byte, end uint16) {
		if len(event) == 0 || len(event) > 4096 {
			return
		}
		var records []Record
		var data []byte
		var ends []int
		for n := range 4 {
			r := Record{Partition: n, Kept: time.UnixMicro(int64(n)).UTC(), Time: time.UnixMicro(-int64(n)).UTC(), Event: event}
			records, data = append(records, r), appendRecord(data, &r)
			ends = append(ends, len(data))
		}
		whole := bytes.Clone(data)
		if int(at) < len(data) {
			copy(data[at:], damage)
		}
		data = data[:min(int(end), len(data))]
		found := decode(data)
		size := found.damaged
		for i := range found.records {
			size += int(found.records[i].size())
		}
		if size != len(data) || found.end > len(data) {
			t.Fatalf("%d bytes are accounted for, want %d; end %d", size, len(data), found.end)
		}
		start, next := 0, 0
		for n, end := range ends {
			if end <= len(data) && bytes.Equal(data[start:end], whole[start:end]) {
				for next < len(found.records) && !equal(found.records[next], records[n]) {
					next++
				}
				if next == len(found.records) {
					t.Fatalf("record %d is whole but was not found", n)
				}
			}
			start = end
		}
	})
}

func equal(a, b Record) bool {
	return a.Partition == b.Partition && a.Kept.Equal(b.Kept) && a.Time.Equal(b.Time) && bytes.Equal(a.Event, b.Event)
}
