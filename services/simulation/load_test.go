package simulation

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/simulated"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// given is one usage event as it was published, and what is wrong with it, if
// something is: the reason it must be refused for.
type given struct {
	id      string
	account string
	at      time.Time
	call
	wrong string
}

// load publishes what the services are to work on, as SDKs and gateways do:
// again when they please, in any order, and some of it bad.
type load struct {
	w        *world
	left     int // messages to be published
	accounts []string
	ids      int
	events   []given            // that are not bad
	usage    map[uint64][]given // by sequence in USAGE
	lost     []published        // what USAGE has no longer

	grants   []events.Entry // issued, or refused
	holds    []events.Entry // placed, or refused
	adjusted []events.Entry
	commands int
	answers  []simulated.Reply // so far
}

const source = "/simulation"

func newLoad(w *world) *load {
	l := &load{w: w, left: 25 + w.rng.IntN(35), accounts: accounts(3 + w.rng.IntN(3)), usage: map[uint64][]given{}}
	l.begin()
	return l
}

// next publishes one message.
func (l *load) next() {
	l.left--
	switch n := l.w.rng.IntN(10); {
	case n < 4:
		l.single()
	case n < 7:
		l.batch()
	default:
		l.command()
	}
}

// single publishes one event on its account's subject.
func (l *load) single() {
	e, body := l.event(pick(l.w, l.accounts))
	subject := events.UsageSubject(e.account)
	if e.wrong == events.CodeAccountMismatch {
		subject = events.UsageSubject("somebody")
	}
	l.publish(subject, events.ContentTypeEvent, body, e)
}

// batch publishes some events of one partition.
func (l *load) batch() {
	partition := events.Partition(pick(l.w, l.accounts), partitions)
	var all []given
	body := []byte{'['}
	for i := range 1 + l.w.rng.IntN(5) {
		e, encoded := l.event(l.neighbour(partition))
		if e.wrong == events.CodeMalformed || e.wrong == events.CodeAccountMismatch {
			e, encoded = l.fresh(l.neighbour(partition))
		}
		if events.Partition(e.account, partitions) != partition {
			e.wrong = events.CodeStray
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, encoded...)
		all = append(all, e)
	}
	l.publish(events.BatchSubject(partition), events.ContentTypeBatch, append(body, ']'), all...)
}

// neighbour is an account of a partition, now and then one of another.
func (l *load) neighbour(partition int) string {
	for {
		if account := pick(l.w, l.accounts); events.Partition(account, partitions) == partition || l.w.chance(20) {
			return account
		}
	}
}

func (l *load) publish(subject, contentType string, body []byte, all ...given) {
	sequence, err := l.w.server.Append(events.StreamUsage, stream.Append{
		Subject: subject, Header: nats.Header{events.HeaderContentType: {contentType}}, Data: body,
	})
	if err != nil {
		panic(err)
	}
	l.usage[sequence] = all
	l.w.say("publish %s =%d: %d events", subject, sequence, len(all))
}

// event makes up an event: most are new, some were there before, some are bad.
func (l *load) event(account string) (given, []byte) {
	switch n := l.w.rng.IntN(20); {
	case n < 4 && len(l.events) > 0:
		return l.again()
	case n == 4:
		e, body := l.fresh(account)
		e.wrong = events.CodeMalformed
		return e, body[:len(body)-1]
	case n == 5:
		e, _ := l.fresh(account)
		e.wrong = events.CodeAccountMismatch
		return e, encode(e)
	case n == 6:
		e, _ := l.fresh(account)
		e.operation = unpriced
		return e, encode(e)
	case n == 7:
		e, _ := l.fresh(account)
		e.at = e.at.Add(time.Hour)
		return e, encode(e)
	case n == 8:
		e, _ := l.fresh(account)
		e.at = e.at.Add(-horizon)
		return e, encode(e)
	}
	e, body := l.fresh(account)
	l.events = append(l.events, e)
	return e, body
}

// again is an event that was published before, perhaps with another time.
func (l *load) again() (given, []byte) {
	e := pick(l.w, l.events)
	switch l.w.rng.IntN(4) {
	case 0:
		e.at = e.at.Add(-time.Duration(l.w.rng.IntN(1000)) * time.Millisecond)
	case 1:
		e.at = time.Now().UTC()
	}
	return e, encode(e)
}

// fresh is an event with an id of its own.
func (l *load) fresh(account string) (given, []byte) {
	l.ids++
	e := given{
		id: fmt.Sprint(l.ids), account: account, call: l.call(),
		at: time.Now().UTC().Add(-time.Duration(l.w.rng.IntN(4000)) * time.Millisecond),
	}
	return e, encode(e)
}

func encode(e given) []byte {
	body, err := events.AppendStructured(nil, events.Usage{Source: source, ID: e.id, Account: e.account, Time: e.at, Data: e.data()})
	if err != nil {
		panic(err)
	}
	return body
}
