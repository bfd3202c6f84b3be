package workload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// Role says how a producer sends.
type Role int

// The roles of producers.
const (
	Batches Role = iota // batches of one partition, on usage.batch.<partition>
	Singles             // one event a message, on usage.<account>
	Posts               // HTTP
)

// Message is one publish or one request.
type Message struct {
	Index   int // of the producer's messages, from 0
	Subject string
	Header  map[string]string
	Body    []byte
	Items   []journal.Item
	Events  []journal.Event // sent in it for the first time
	Bad     []journal.Bad
	// Await are messages of events that this one repeats with another time:
	// it may be sent once they are stored, so that it is clear who is first.
	Await []int
	// Twice asks to send it a second time at once.
	Twice bool
}

// Plan is what producers send, but for the times it starts at.
type Plan struct {
	Seed       uint64
	Start      time.Time
	Accounts   int
	Partitions int
}

// Hot is the account that gets bursts.
const Hot = "hot"

// Account names the nth account.
func Account(n int) string {
	if n == 0 {
		return Hot
	}
	return "a" + strconv.Itoa(n)
}

const (
	batchMax   = 150
	postMax    = 30  // events in one request
	repeatable = 500 // events kept to be repeated later
	apart      = 40  // messages between an event and its repetition
)

// Generator makes the messages of one producer. Equal plans give equal
// messages.
type Generator struct {
	plan        Plan
	producer    int
	role        Role
	random      *rand.Rand
	byPartition [][]string // accounts
	hot         int        // partition of the hot account
	burst       int        // messages left of a burst

	message int
	number  int
	past    []sent // ring of events that may be repeated
}

// sent is an event that was sent by message.
type sent struct {
	journal.Event
	message int
}

// NewGenerator makes a generator of a producer.
func NewGenerator(p Plan, producer int, role Role) *Generator {
	g := &Generator{
		plan: p, producer: producer, role: role, byPartition: make([][]string, p.Partitions),
		random: rand.New(rand.NewPCG(p.Seed, uint64(producer))),
	}
	for i := range p.Accounts {
		q := Partition(Account(i), p.Partitions)
		g.byPartition[q] = append(g.byPartition[q], Account(i))
	}
	g.hot = Partition(Hot, p.Partitions)
	return g
}

// Partition is the partition of an account: FNV-1a 32 modulo n.
func Partition(account string, n int) int {
	hash := uint32(2166136261)
	for i := range len(account) {
		hash = (hash ^ uint32(account[i])) * 16777619
	}
	return int(hash % uint32(n))
}

func (g *Generator) chance(percent float64) bool { return g.random.Float64()*100 < percent }

func pick[T any](g *Generator, choices []T) T { return choices[g.random.IntN(len(choices))] }

// Next returns the next message.
func (g *Generator) Next() *Message {
	m := &Message{Index: g.message, Header: map[string]string{}}
	g.message++
	if g.burst > 0 {
		g.burst--
	} else if g.chance(1) {
		g.burst = 10 + g.random.IntN(40)
	}
	switch {
	case g.role == Batches && !g.chance(2), g.role == Posts && g.chance(60):
		g.batch(m)
	default:
		g.single(m)
	}
	m.Twice = g.role != Posts && g.chance(1)
	return m
}

// partition chooses one that has accounts.
func (g *Generator) partition() int {
	if g.burst > 0 {
		return g.hot
	}
	for {
		if q := g.random.IntN(g.plan.Partitions); len(g.byPartition[q]) > 0 {
			return q
		}
	}
}

func (g *Generator) id() journal.ID {
	g.number++
	return journal.ID{Producer: g.producer, Number: g.number - 1}
}

// event makes a new event of partition q.
func (g *Generator) event(q int) journal.Event {
	e := journal.Event{ID: g.id(), Account: pick(g, g.byPartition[q]), Status: 200, Micros: g.time()}
	if g.burst > 0 && q == g.hot && g.chance(90) {
		e.Account = Hot
	}
	switch n := g.random.IntN(100); {
	case n < 45:
		e.Operation, e.A, e.B = Chat, g.random.Int64N(2000), g.random.Int64N(800)
	case n < 65:
		e.Operation, e.A = Files, g.random.Int64N(5<<20)
	case n < 75:
		e.Operation, e.A = Odd, g.random.Int64N(5_000_000)
	case n < 85:
		e.Operation, e.A = Render, g.random.Int64N(1000)
	default:
		e.Operation = Search
	}
	if g.chance(4) {
		e.Status = 503
	}
	return e
}

// time is when an event happened: lately, up to an hour ago out of order, or
// days ago, within the dedup horizon.
func (g *Generator) time() int64 {
	ago := 10*time.Minute - time.Duration(g.number)*time.Microsecond
	switch n := g.random.IntN(100); {
	case n < 25:
		ago += time.Duration(g.random.Int64N(int64(2 * time.Hour)))
	case n < 30:
		ago += time.Duration(g.random.Int64N(int64(50 * time.Hour)))
	}
	return g.plan.Start.Add(-max(ago, 0)).UnixMicro()
}

// remember keeps an event so that it may be repeated later.
func (g *Generator) remember(e journal.Event, message int) {
	if len(g.past) < repeatable {
		g.past = append(g.past, sent{e, message})
	} else if g.chance(20) {
		g.past[g.random.IntN(repeatable)] = sent{e, message}
	}
}

// repeat finds an event of partition q, or of any for -1, that was sent a while
// ago, and gives it another time in one case of two.
func (g *Generator) repeat(m *Message, q int) (journal.Event, bool) {
	if len(g.past) == 0 {
		return journal.Event{}, false
	}
	old := pick(g, g.past)
	if old.message+apart > m.Index || q >= 0 && Partition(old.Account, g.plan.Partitions) != q {
		return journal.Event{}, false
	}
	if g.chance(50) {
		shift := (time.Duration(1+g.random.IntN(8)) * time.Hour).Microseconds()
		if later := old.Micros + shift; g.chance(50) && later < g.plan.Start.UnixMicro() {
			old.Micros = later
		} else {
			old.Micros -= shift
		}
		m.Await = append(m.Await, old.message)
	}
	return old.Event, true
}

// batch makes a message of many events of one partition.
func (g *Generator) batch(m *Message) {
	q := g.partition()
	m.Subject = "usage.batch." + strconv.Itoa(q)
	m.Header["Content-Type"] = "application/cloudevents-batch+json"
	var texts [][]byte
	add := func(number int, text []byte) {
		texts = append(texts, text)
		m.Items = append(m.Items, journal.Item{Number: number, Bytes: len(text)})
	}
	size := batchMax
	if g.role == Posts {
		size = postMax
	}
	for range 1 + g.random.IntN(size) {
		switch {
		case g.role == Batches && g.chance(0.7):
			id, text := g.bad(m, q)
			add(id, text)
		case g.chance(2):
			if e, ok := g.repeat(m, q); ok {
				add(e.Number, structured(e))
			}
		default:
			e := g.event(q)
			m.Events = append(m.Events, e)
			g.remember(e, m.Index)
			add(e.Number, structured(e))
			if g.chance(1) {
				add(e.Number, structured(e))
			}
		}
	}
	if len(texts) == 0 {
		e := g.event(q)
		m.Events = append(m.Events, e)
		add(e.Number, structured(e))
	}
	m.Body = slices.Concat([]byte("["), bytes.Join(texts, []byte(",")), []byte("]"))
	if g.role == Batches && g.chance(0.3) {
		g.cut(m)
	}
}

// bad makes an event for a batch of partition q that is to be dead-lettered.
func (g *Generator) bad(m *Message, q int) (number int, text []byte) {
	e := g.event(q)
	reason, body := "stray", ""
	if other := g.random.IntN(g.plan.Partitions); g.chance(15) && other != q && len(g.byPartition[other]) > 0 {
		e.Account = pick(g, g.byPartition[other])
		body = string(structured(e))
	} else {
		reason, body = g.spoiled(e, append(slices.Clone(spoiledAnywhere), spoiledBehind...))
	}
	m.Bad = append(m.Bad, journal.Bad{ID: e.ID, Reason: reason})
	return e.Number, []byte(body)
}

func (g *Generator) spoiled(e journal.Event, ways []spoiler) (reason, text string) {
	e.Status, e.Micros = 200, max(e.Micros, g.plan.Start.Add(-time.Hour).UnixMicro())
	way := pick(g, ways)
	text = way.spoil(string(structured(e)), e)
	if text == string(structured(e)) {
		panic("workload: an event was not spoiled: " + way.reason)
	}
	return way.reason, text
}

// cut takes the end off a batch. Nothing of it can be charged: all of its new
// events become one bad one.
func (g *Generator) cut(m *Message) {
	id := g.id()
	m.Body = append(fmt.Appendf(nil, `[{"id":"cut %d %d"},`, id.Producer, id.Number), m.Body[1:len(m.Body)-1]...)
	for _, e := range m.Events {
		g.past = slices.DeleteFunc(g.past, func(s sent) bool { return s.ID == e.ID })
		// Its number is never sent again, and must not be charged.
		m.Bad = append(m.Bad, journal.Bad{ID: e.ID, Reason: journal.Unsent})
	}
	for i := range m.Bad {
		m.Bad[i].Reason = journal.Unsent
	}
	m.Bad = append(m.Bad, journal.Bad{ID: id, Reason: "malformed"})
	m.Events, m.Await = nil, nil
	m.Items = []journal.Item{{Number: id.Number, Bytes: len(m.Body)}}
}

// single makes a message of one event.
func (g *Generator) single(m *Message) {
	q := g.partition()
	if g.chance(3) {
		g.badSingle(m, q)
		return
	}
	e, again := journal.Event{}, false
	if g.chance(8) {
		e, again = g.repeat(m, -1)
	}
	if !again {
		e = g.event(q)
		m.Events = append(m.Events, e)
		g.remember(e, m.Index)
	}
	m.Subject = "usage." + e.Account
	if g.chance(50) {
		m.Header, m.Body = binary(e)
	} else {
		m.Body = structured(e)
		if g.role == Posts || g.chance(50) {
			m.Header["Content-Type"] = "application/cloudevents+json"
		}
	}
	m.Items = []journal.Item{{Number: e.Number, Bytes: len(m.Body)}}
}

func (g *Generator) badSingle(m *Message, q int) {
	e := g.event(q)
	m.Subject = "usage." + e.Account
	m.Header["Content-Type"] = "application/cloudevents+json"
	reason, text := "", ""
	switch {
	case g.role == Posts: // it is refused at the door and never stored
		_, text = g.spoiled(e, spoiledAnywhere)
		reason = journal.Unsent
	case g.chance(10):
		reason, text = g.spoiled(e, []spoiler{oversized})
	case g.chance(20):
		m.Subject = "usage." + e.Account + "x"
		reason, text = "account_mismatch", string(structured(e))
	default:
		reason, text = g.spoiled(e, append(slices.Clone(spoiledAnywhere), spoiledBehind...))
	}
	m.Body = []byte(text)
	m.Bad = append(m.Bad, journal.Bad{ID: e.ID, Reason: reason})
	m.Items = []journal.Item{{Number: e.Number, Bytes: len(m.Body)}}
}
