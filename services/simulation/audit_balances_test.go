package simulation

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
	"github.com/drawdown-credits/drawdown/services/projector/ledger"
)

// overdueMax is how long after its time an account may be left to change.
const overdueMax = 10 * time.Second

// folded is the ledger folded in one go.
type folded struct {
	states    [partitions]*ledger.State
	decisions map[string]events.Decision // by where the answer goes
	crossed   map[string]bool            // levels, by what crossing returns
}

// fold folds the ledger as it stands, each partition by itself.
func (w *world) fold() folded {
	f := folded{decisions: map[string]events.Decision{}, crossed: map[string]bool{}}
	var postings []ledger.Posting
	all := w.server.Messages(events.StreamLedger)
	for p := range partitions {
		state := ledger.New()
		f.states[p] = state
		for _, m := range all {
			if !ledgerOf(m.Subject, p) {
				continue
			}
			for i, e := range w.chunk(m).Entries {
				var d events.Decision
				d, postings = state.Apply(ledger.Point{Sequence: m.Sequence, Index: i, Time: m.Time}, e, postings[:0])
				b, ok := state.Balance(e.Account)
				if ok {
					d.Balance = &b
					f.cross(b)
				}
				if reply := m.Header.Get(events.HeaderReply); reply != "" && (ok || p == 0) {
					f.decisions[reply] = d
				}
			}
		}
	}
	return f
}

// chunk decodes a ledger message, once.
func (w *world) chunk(m stream.Message) events.Chunk {
	c, ok := w.chunks[m.Sequence]
	if !ok {
		var err error
		if c, err = events.DecodeChunk(m.Data); err != nil {
			panic(err)
		}
		w.chunks[m.Sequence] = c
	}
	return c
}

func ledgerOf(subject string, partition int) bool {
	return strings.HasPrefix(subject, fmt.Sprintf("ledger.%d.", partition)) || subject == events.BroadcastSubject()
}

// auditBalances compares bucket BALANCES with the ledger folded in one go, byte
// for byte, and the sums of both with what was published.
func (w *world) auditBalances(f folded) string {
	shown := map[string][]byte{}
	for _, m := range w.server.Messages("KV_" + events.BucketBalances) {
		shown[strings.TrimPrefix(m.Subject, "$KV."+events.BucketBalances+".")] = m.Data
	}
	charged := map[string]int64{}
	for _, m := range w.server.Messages(events.StreamLedger) {
		for _, e := range w.chunk(m).Entries {
			if e.Debit != nil {
				charged[e.Account] += int64(e.Debit.Amount)
			}
		}
	}
	count := 0
	for p := range partitions {
		state := f.states[p]
		if due, ok := state.NextDue(); ok && time.Since(due) > overdueMax {
			return fmt.Sprintf("an account of partition %d is due since %s and nobody ticks", p, due)
		}
		for account := range state.Accounts() {
			count++
			b, _ := state.Balance(account)
			want, err := json.Marshal(b, json.Deterministic(true))
			if err != nil {
				panic(err)
			}
			switch {
			case !bytes.Equal(shown[account], want):
				return fmt.Sprintf("balance of %s:\n%s\nexpected:\n%s", account, shown[account], want)
			case int64(b.Charged) != charged[account]:
				return fmt.Sprintf("%s is charged %s in all; expected %d", account, b.Charged, charged[account])
			case b.Granted != b.Remaining+b.Drawn+b.Expired+b.Voided || b.Charged != b.Drawn+b.Overage+b.Forgiven:
				return fmt.Sprintf("credits of %s are not conserved: %+v", account, b)
			}
		}
	}
	if len(shown) != count {
		return fmt.Sprintf("there are balances of %d accounts; expected %d", len(shown), count)
	}
	return w.auditPlaces()
}

// headerPlace says which ledger entry a balance stands at.
const headerPlace = "Drawdown-Ledger-Place"

// auditPlaces checks that no balance was ever replaced by one of an earlier
// entry. A bucket that lost its end gives revisions out again, and one that
// somebody remembers may then be another's: that heals, and is not looked at.
func (w *world) auditPlaces() string {
	if w.faults["power cut"] > 0 {
		return ""
	}
	newest := map[string]stream.Message{}
	for _, m := range w.server.History("KV_" + events.BucketBalances) {
		before, ok := newest[m.Subject]
		if ok && placeOf(m).before(placeOf(before)) {
			return fmt.Sprintf("the balance %d of %s stands at %s, behind %d at %s", m.Sequence, m.Subject,
				m.Header.Get(headerPlace), before.Sequence, before.Header.Get(headerPlace))
		}
		newest[m.Subject] = m
	}
	return ""
}

// place is an entry in LEDGER.
type place struct {
	sequence uint64
	index    int
}

func placeOf(m stream.Message) place {
	var p place
	_, _ = fmt.Sscanf(m.Header.Get(headerPlace), "%d.%d", &p.sequence, &p.index) // none is the first place
	return p
}

func (p place) before(q place) bool {
	return p.sequence < q.sequence || p.sequence == q.sequence && p.index < q.index
}

// auditAnswers checks that whoever asked was told what the ledger says.
func (w *world) auditAnswers(f folded) string {
	w.load.answers = append(w.load.answers, w.network.Replies()...)
	for _, r := range w.load.answers {
		want, err := json.Marshal(f.decisions[r.Subject], json.Deterministic(true))
		if err != nil {
			panic(err)
		}
		if !bytes.Equal(r.Body, want) {
			return fmt.Sprintf("%s was answered by %s\n%s\nexpected\n%s", r.Subject, r.Client, r.Body, want)
		}
	}
	return ""
}
