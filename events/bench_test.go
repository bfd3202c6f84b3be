package events_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

func BenchmarkDecodeEvent(b *testing.B) {
	body, err := events.AppendStructured(nil, call())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if item := events.DecodeEvent(body); item.Err != nil {
			b.Fatal(item.Err)
		}
	}
}

func BenchmarkDecodeBinary(b *testing.B) {
	header, body, err := events.EncodeBinary(call())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if item := events.DecodeBinary(header, body); item.Err != nil {
			b.Fatal(item.Err)
		}
	}
}

func BenchmarkDecodeBatchOf500(b *testing.B) {
	body, err := events.EncodeBatch(calls(500))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		items, problem := events.DecodeBatch(body)
		if problem != nil || len(items) != 500 {
			b.Fatal(problem)
		}
	}
}

func BenchmarkEncodeBatchOf500(b *testing.B) {
	usages := calls(500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.EncodeBatch(usages); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeChunkOf500(b *testing.B) {
	chunk := debits(500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.EncodeChunk(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeChunkOf500(b *testing.B) {
	body, err := events.EncodeChunk(debits(500))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.DecodeChunk(body); err != nil {
			b.Fatal(err)
		}
	}
}

func calls(n int) []events.Usage {
	usages := make([]events.Usage, n)
	for i := range usages {
		usages[i] = call()
		usages[i].ID = strconv.Itoa(i)
	}
	return usages
}

// debits returns a chunk like the rater appends.
func debits(n int) events.Chunk {
	stored := time.Date(2026, 12, 1, 12, 30, 1, 0, time.UTC)
	chunk := events.Chunk{Span: &events.Span{Through: events.Position{Sequence: 7, Index: n - 1, StoredAt: stored}, Events: n}}
	for i, u := range calls(n) {
		chunk.Entries = append(chunk.Entries, events.Entry{Kind: events.EntryDebit, Account: u.Account, Debit: &events.Debit{
			Source: u.Source, ID: u.ID, Time: u.Time, Data: u.Data,
			Position: events.Position{Sequence: 7, Index: i, StoredAt: stored},
			Amount:   events.MustCredits("0.0828"), Card: "default", Version: 3, Rule: "chat-large",
			Arithmetic: "0.01 + 374 / 1000 × 0.15 + 44.5 / 1000 × 0.60 = 0.0928",
		}})
	}
	return chunk
}
