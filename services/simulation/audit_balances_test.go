package simulation

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	diff "github.com/google/go-cmp/cmp"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/chaos/oracle/books"
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
	exceeded  map[place][]string         // the budgets of an account behind each of its entries, by name
	books     *books.Books               // the same once more, by simpler means
	wrong     string                     // where the two part
}

// fold folds the ledger as it stands, each partition by itself.
func (w *world) fold() folded {
	f := folded{decisions: map[string]events.Decision{}, crossed: map[string]bool{}, exceeded: map[place][]string{}, books: books.New()}
	decisions := map[place]events.Decision{}
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
				decisions[place{m.Sequence, i}] = d
				if reply := m.Header.Get(events.HeaderReply); reply != "" && (ok || p == 0) {
					f.decisions[reply] = d
				}
			}
		}
	}
	w.decided = map[place]string{}
	for _, m := range all {
		f.enter(m, w.bookChunk(m), decisions)
		for i, e := range w.chunk(m).Entries {
			d := decisions[place{m.Sequence, i}]
			w.decided[place{m.Sequence, i}] = fmt.Sprintf("%s %s", e.Kind, cmp.Or(d.Code, string(d.Outcome)))
		}
	}
	return f
}

// enter writes a message into the books, and notes where what they decide is
// not what was decided.
func (f *folded) enter(m stream.Message, c *books.Chunk, decided map[place]events.Decision) {
	for i := range c.Entries {
		at := place{m.Sequence, i}
		d := f.books.Apply(books.Place{Sequence: at.sequence, Index: i}, m.Time, &c.Entries[i])
		got := books.Decision{Outcome: string(decided[at].Outcome), Code: decided[at].Code}
		if d != got && f.wrong == "" && c.Entries[i].Kind != string(events.EntryRateCard) {
			f.wrong = fmt.Sprintf("%s of %s at %v is %v; expected %v", c.Entries[i].Kind, c.Entries[i].Account, at, got, d)
		}
	}
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

// bookChunk decodes a ledger message for the books, once.
func (w *world) bookChunk(m stream.Message) *books.Chunk {
	c, ok := w.written[m.Sequence]
	if !ok {
		c = &books.Chunk{}
		if err := json.Unmarshal(m.Data, c); err != nil {
			panic(err)
		}
		w.written[m.Sequence] = c
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
	count := 0
	if f.wrong != "" {
		return f.wrong
	}
	for p := range partitions {
		state := f.states[p]
		for account := range state.Accounts() {
			count++
			if due, ok := f.books.Accounts[account].Due(); ok && time.Since(due) > overdueMax {
				return fmt.Sprintf("%s is due since %s and nobody ticks", account, due)
			}
			b, _ := state.Balance(account)
			want, err := json.Marshal(b, json.Deterministic(true))
			if err != nil {
				panic(err)
			}
			switch {
			case !bytes.Equal(shown[account], want):
				return fmt.Sprintf("balance of %s:\n%s\nexpected:\n%s", account, shown[account], want)
			case b.Granted != b.Remaining+b.Drawn+b.Expired+b.Voided || b.Charged != b.Drawn+b.Overage+b.Forgiven:
				return fmt.Sprintf("credits of %s are not conserved: %+v", account, b)
			}
			if wrong := f.compare(account, want); wrong != "" {
				return fmt.Sprintf("balance of %s (-expected +shown):\n%s", account, wrong)
			}
		}
	}
	if len(shown) != count {
		return fmt.Sprintf("there are balances of %d accounts; expected %d", len(shown), count)
	}
	return w.auditPlaces()
}

// compare compares a balance with what the books say.
func (f folded) compare(account string, shown []byte) string {
	var got books.Balance
	if err := json.Unmarshal(shown, &got); err != nil {
		panic(err)
	}
	got.Order()
	return diff.Diff(f.books.Accounts[account].Balance(), got)
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
