package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// fullHistory is a history with rate cards and entries of no account in it.
func fullHistory(t *rapid.T) []item {
	items := history(t)
	for i := range items {
		switch rapid.IntRange(0, 9).Draw(t, "instead") {
		case 0:
			items[i].entry = card(t, items[i].point.Time)
		case 1:
			items[i].entry = events.Entry{Kind: events.EntryTick, Account: "no account"}
		}
	}
	return items
}

func card(t *rapid.T, now time.Time) events.Entry {
	c := events.RateCard{
		Card:          rapid.SampledFrom([]string{"default", "other"}).Draw(t, "card"),
		EffectiveFrom: near(t, now),
		Rules:         []events.Rule{{Name: rapid.SampledFrom([]string{"<all>", "é"}).Draw(t, "rule"), Price: events.Price{Flat: new(events.MustQuantity("0.5"))}}},
	}
	c.Rules[0].Match.Attributes = rapid.SampledFrom([]map[string]string{nil, {}, {"a": "b", "c": "d"}}).Draw(t, "attributes")
	return events.Entry{Kind: events.EntryRateCard, RateCard: &c}
}

// cut is state after Encode and Decode.
func cut(t *rapid.T, state *ledger.State) *ledger.State {
	written := encoded(t, state)
	read, err := ledger.Decode(bytes.NewReader(written))
	if err != nil {
		t.Fatalf("decode what was encoded: %v", err)
	}
	if !bytes.Equal(encoded(t, read), written) {
		t.Fatal("a decoded state is encoded as other bytes")
	}
	return read
}

type fatal interface {
	Helper()
	Fatal(...any)
}

func encoded(t fatal, state *ledger.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := state.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCuttingAHistoryChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := fullHistory(t)
		whole, parts := ledger.New(), ledger.New()
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(items)), 1, 4).Draw(t, "cuts")
		for i, it := range items {
			if slices.Contains(cuts, i) {
				parts = cut(t, parts)
			}
			want, wantPostings := whole.Apply(it.point, it.entry, nil)
			got, postings := parts.Apply(it.point, it.entry, nil)
			if bytesOf(t, got) != bytesOf(t, want) || bytesOf(t, postings) != bytesOf(t, wantPostings) {
				t.Fatalf("entry %d after a cut: %+v %+v, was %+v %+v", i, got, postings, want, wantPostings)
			}
			sameDue(t, whole, parts, it.point.Time)
		}
		parts = cut(t, parts)
		sameState(t, whole, parts, slices.Collect(whole.Accounts()))
		sameCatalog(t, whole, parts)
		if !bytes.Equal(encoded(t, whole), encoded(t, parts)) {
			t.Fatal("the same history is encoded as other bytes once it was cut")
		}
	})
}

func sameDue(t *rapid.T, a, b *ledger.State, now time.Time) {
	left, leftAny := a.NextDue()
	right, rightAny := b.NextDue()
	if leftAny != rightAny || !left.Equal(right) {
		t.Fatalf("next due at %v, %v; after a cut at %v, %v", left, leftAny, right, rightAny)
	}
	for _, at := range []time.Time{now, now.Add(100 * 24 * time.Hour)} {
		if due, other := a.Due(at, 10), b.Due(at, 10); !slices.Equal(due, other) {
			t.Fatalf("due are %v; after a cut %v", due, other)
		}
	}
}

func sameCatalog(t *rapid.T, a, b *ledger.State) {
	for _, name := range []string{"p", "q"} {
		left, leftOK := a.Plan(name)
		right, rightOK := b.Plan(name)
		if leftOK != rightOK || bytesOf(t, left) != bytesOf(t, right) {
			t.Fatalf("plan %s is %+v; after a cut %+v", name, left, right)
		}
	}
	for _, name := range []string{"default", "other"} {
		for version, found := 1, true; found; version++ {
			left, leftOK := a.RateCard(name, version)
			right, rightOK := b.RateCard(name, version)
			if found = leftOK; leftOK != rightOK || bytesOf(t, left) != bytesOf(t, right) {
				t.Fatalf("version %d of %s is %+v; after a cut %+v", version, name, left, right)
			}
		}
	}
}

// sample is a state with something of everything.
func sample(t testing.TB, accounts int) *ledger.State {
	t.Helper()
	fold := newBench()
	plan := events.Plan{Plan: "pro", Terms: events.Terms{Period: "month", Grant: &events.PlanGrant{Amount: 7 * events.Credit}}}
	fold.apply(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	fold.apply(events.Entry{Kind: events.EntryRateCard, RateCard: &events.RateCard{Card: "default", Rules: []events.Rule{{Name: "all"}}}})
	fold.apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Plan: "pro"}})
	for i := range accounts {
		account := fmt.Sprintf("account-%d", i)
		fold.grant(account, i, 2*events.Credit)
		fold.apply(debit(account, events.Credits(i%3)*events.Credit))
		fold.grant("bob", i, events.Credit)
	}
	topUp := events.TopUp{Below: events.Credit, Amount: events.Credit, AtMostPerPeriod: 2, Cooldown: events.Duration(time.Second)}
	fold.apply(events.Entry{Kind: events.EntryAccount, Account: "cy", Settings: &events.Account{ID: "cy", Terms: events.Terms{TopUp: &topUp}}})
	fold.apply(debit("cy", events.Credit))
	fold.apply(events.Entry{Kind: events.EntryDecline, Account: "cy", Decline: &events.Decline{TopUp: "topup:cy:1"}})
	fold.point.Time = fold.point.Time.Add(time.Second)
	fold.apply(debit("cy", events.Credit)) // the second request pends
	plan.Thresholds = []string{"1"}
	fold.apply(events.Entry{Kind: events.EntryPlan, Plan: &plan}) // not taken over yet
	return fold.state
}

func TestADamagedEncodingIsRefused(t *testing.T) {
	whole := encoded(t, sample(t, 600))
	if _, err := ledger.Decode(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, damaged []byte) {
		t.Helper()
		if _, err := ledger.Decode(bytes.NewReader(damaged)); err == nil {
			t.Errorf("%s: decoded", what)
		}
	}
	refuse("nothing", nil)
	refuse("a byte behind the end", append(slices.Clone(whole), 0))
	refuse("twice", append(slices.Clone(whole), whole...))
	for i := 0; i < len(whole); i += 1 + len(whole)/997 {
		refuse(fmt.Sprint("cut at ", i), whole[:i])
		flipped := slices.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		refuse(fmt.Sprint("a bit flipped in byte ", i), flipped)
	}
}

func TestAStateOfAnotherVersionIsRefused(t *testing.T) {
	payload := unframe(t, encoded(t, sample(t, 600)))
	payload[0]++
	if _, err := ledger.Decode(bytes.NewReader(framed(payload))); err == nil {
		t.Error("another version was decoded")
	}
}

func TestEncodingReportsAWriterThatFails(t *testing.T) {
	broken := errors.New("broken")
	for _, after := range []int{0, 5, 40_000} {
		w := &failing{after: after, err: broken}
		if err := sample(t, 600).Encode(w); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v; want %v", after, err, broken)
		}
	}
	if _, err := ledger.Decode(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("decode: %v; want %v", err, broken)
	}
}

type failing struct {
	after int
	err   error
}

func (w *failing) Write(b []byte) (int, error) {
	if w.after -= len(b); w.after < 0 {
		return 0, w.err
	}
	return len(b), nil
}

const magic = "DDFOLD\r\n"

// framed is payload as one block, with the checksums that belong to it.
func framed(payload []byte) []byte {
	sum := crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli))
	b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(payload)))
	if len(payload) == 0 {
		return binary.LittleEndian.AppendUint32(b, sum)
	}
	b = binary.LittleEndian.AppendUint32(append(b, payload...), sum)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 0), sum)
}

// unframe is the payload of all blocks.
func unframe(t fatal, b []byte) []byte {
	t.Helper()
	r, payload := bytes.NewReader(b[len(magic):]), []byte{}
	for {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			t.Fatal(err)
		}
		n := binary.LittleEndian.Uint32(length[:])
		if n == 0 {
			return payload
		}
		block := make([]byte, n+4)
		if _, err := io.ReadFull(r, block); err != nil {
			t.Fatal(err)
		}
		payload = append(payload, block[:n]...)
	}
}

// FuzzDecode feeds bytes whose checksums are right. Whatever is taken is what
// Encode writes, and lets time pass and entries apply without a panic.
func FuzzDecode(f *testing.F) {
	f.Add(unframe(f, encoded(f, ledger.New())))
	f.Add(unframe(f, encoded(f, sample(f, 2))))
	small := newBench()
	small.grant("ada", 0, events.Credit)
	small.apply(events.Entry{Kind: events.EntryAccount, Account: "ada", Settings: &events.Account{ID: "ada", Terms: events.Terms{Period: "day", Thresholds: []string{"5%"}}}})
	small.apply(debit("ada", 2*events.Credit))
	f.Add(unframe(f, encoded(f, small.state)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, _ = ledger.Decode(bytes.NewReader(payload))
		state, err := ledger.Decode(bytes.NewReader(framed(payload)))
		if err != nil {
			return
		}
		if again := unframe(t, encoded(t, state)); !bytes.Equal(again, payload) {
			t.Fatalf("encoded again as\n%x, was\n%x", again, payload)
		}
		for account := range state.Accounts() {
			state.Balance(account)
		}
		state.NextDue()
		state.Due(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 100)
	})
}

func BenchmarkEncode(b *testing.B) {
	const accounts = 100_000
	fold := newBench()
	plan := events.Plan{Plan: "pro", Terms: events.Terms{Period: "month", Grant: &events.PlanGrant{Amount: 7 * events.Credit}}}
	fold.apply(events.Entry{Kind: events.EntryPlan, Plan: &plan})
	for i := range accounts {
		name := fmt.Sprintf("account-%07d", i)
		fold.apply(events.Entry{Kind: events.EntryAccount, Account: name, Settings: &events.Account{ID: name, Plan: "pro"}})
		fold.grant(name, i, events.MaxCredits)
		fold.apply(debit(name, 8*events.Credit))
	}
	whole := encoded(b, fold.state)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := fold.state.Encode(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(whole))/accounts, "B/account")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ledger.Decode(bytes.NewReader(whole)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
