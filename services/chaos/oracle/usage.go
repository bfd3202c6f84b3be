package oracle

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

// place is an event in the stream USAGE.
type place struct {
	sequence uint64
	index    int
}

// refusal is a stored event that must be dead-lettered.
type refusal struct {
	reason    string
	subject   string
	body      [sha256.Size]byte
	partition int
	letters   int
}

// usage is what is stored in USAGE.
type usage struct {
	*Oracle
	through  uint64
	stored   int
	copies   []int // events that may be charged, by partition
	firsts   []int // of those the first copies
	refused  []int // events that may not be, by partition
	refusals map[place]*refusal
}

func newUsage(o *Oracle) *usage {
	n := o.config.Partitions
	return &usage{Oracle: o, copies: make([]int, n), firsts: make([]int, n), refused: make([]int, n), refusals: map[place]*refusal{}}
}

// item is one event of a stored message.
type item struct {
	id   journal.ID
	body []byte
}

func (u *usage) take(m message) error {
	u.stored++
	hash := journal.HashOf(m.data)
	if acked, ok := u.log.acks[m.sequence]; ok {
		if acked != hash {
			u.final.add("acknowledged message replaced", "USAGE %d holds another message than was acknowledged there", m.sequence)
		}
		delete(u.log.acks, m.sequence)
	}
	partition, err := u.partition(m.subject)
	if err != nil {
		return err
	}
	for index, it := range u.items(m, hash) {
		e := u.log.event(it.id)
		switch at := (place{m.sequence, index}); {
		case e == nil:
			u.final.add("unknown event stored", "USAGE %d.%d: nobody sent %v", m.sequence, index, it.id)
		case e.bad == journal.Unsent:
			u.final.add("refused event stored", "USAGE %d.%d holds %v, which was refused at the door", m.sequence, index, it.id)
		case e.bad != "":
			u.refused[partition]++
			u.refusals[at] = &refusal{reason: e.bad, subject: m.subject, body: sha256.Sum256(it.body), partition: partition}
		default:
			if e.copies++; e.copies == 1 {
				e.seq, e.index = m.sequence, index
				u.firsts[partition]++
			}
			u.copies[partition]++
		}
	}
	return nil
}

// partition reads it from the subject a message is stored under.
func (u *usage) partition(subject string) (int, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 3 || tokens[0] != "usage" {
		return 0, fmt.Errorf("unknown subject %s", subject)
	}
	number := tokens[1]
	if number == "batch" {
		number = tokens[2]
	}
	p, err := strconv.Atoi(number)
	if err != nil || p < 0 || p >= u.config.Partitions {
		return 0, fmt.Errorf("subject %s names no partition", subject)
	}
	return p, nil
}

// items takes a message apart: as the journal says when a producer published
// it, and by reading it when the gateway wrote it.
func (u *usage) items(m message, hash uint64) []item {
	sent, ok := u.log.messages[hash]
	if !ok {
		return u.posted(m)
	}
	items := make([]item, 0, len(sent.Items))
	from := 1 // behind the bracket
	if len(sent.Items) == 1 && sent.Items[0].Bytes == len(m.data) {
		from = 0
	}
	for _, i := range sent.Items {
		items = append(items, item{journal.ID{Producer: sent.Producer, Number: i.Number}, m.data[from : from+i.Bytes]})
		from += i.Bytes + 1
	}
	return items
}

// posted reads a message that the gateway wrote.
func (u *usage) posted(m message) []item {
	elements := []jsontext.Value{m.data}
	if strings.Contains(m.subject, ".batch.") {
		if err := json.Unmarshal(m.data, &elements); err != nil {
			u.final.add("unknown event stored", "USAGE %d: %v", m.sequence, err)
			return nil
		}
	}
	items := make([]item, 0, len(elements))
	for _, element := range elements {
		var named struct {
			Source string `json:"source"`
			ID     string `json:"id"`
		}
		if err := json.Unmarshal(element, &named); err != nil {
			u.final.add("unknown event stored", "USAGE %d: %v", m.sequence, err)
			continue
		}
		items = append(items, item{parseID(named.Source, named.ID), element})
	}
	return items
}

// parseID returns the event that a CloudEvents source and id name, or one that
// does not exist.
func parseID(source, id string) journal.ID {
	producer, err := strconv.Atoi(strings.TrimPrefix(source, "/chaos/"))
	number, failed := strconv.Atoi(id)
	if err != nil || failed != nil {
		return journal.ID{Producer: -1}
	}
	return journal.ID{Producer: producer, Number: number}
}

// compare looks for what was acknowledged and is not stored.
func (u *usage) compare(r *Report) {
	r.Stored = u.stored
	for sequence := range u.log.acks {
		r.Differences.add("acknowledged message lost", "USAGE %d is not there", sequence)
	}
	for _, post := range u.log.posted {
		for _, number := range post.Numbers {
			e := u.log.event(journal.ID{Producer: post.Producer, Number: number})
			switch accepted := post.Status == 202; {
			case e == nil:
				r.Differences.add("journal", "post of an event nobody wrote: %d", number)
			case accepted && e.bad != "":
				r.Differences.add("bad event accepted", "%v was answered 202", e.ID)
			case accepted && e.copies == 0:
				r.Differences.add("acknowledged event lost", "%v was answered 202 and is not stored", e.ID)
			}
		}
	}
}
