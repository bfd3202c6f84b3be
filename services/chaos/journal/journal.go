// Package journal is the producers' own log: a file of lines, appended before
// something is sent and after it is answered. With the streams it is all that
// the oracle reads; nothing in it comes from the product but acknowledgements.
package journal

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
)

// ID names an event: CloudEvents source /chaos/<Producer> and id <Number>.
type ID struct {
	Producer int
	Number   int // from 0, without a gap
}

// Event is a valid usage event as it was first sent. Whatever else is sent
// under its id later must not count.
type Event struct {
	ID
	Account   string
	Operation string
	Status    int
	A, B      int64 // its quantities; what they are depends on the operation
	Micros    int64 // its time, since 1970
}

// Bad is an event that must not be charged, but dead-lettered for a reason, or
// refused at the door when it is posted.
type Bad struct {
	ID
	Reason string
}

// Unsent is the reason of an event that must not even be stored.
const Unsent = "unsent"

// Item is one event of a message.
type Item struct {
	Number int
	Bytes  int // of its part of the body
}

// Message is a message as it is published. The items of a batch stand between
// brackets, with a comma between them; otherwise the body is the one item.
type Message struct {
	Producer int
	Hash     uint64 // of the body
	Subject  string
	Items    []Item
}

// Ack says that a message is stored.
type Ack struct {
	Hash     uint64
	Sequence uint64
}

// Post is a request to store events over HTTP, and its answer.
type Post struct {
	Producer int
	Status   int
	Numbers  []int
}

// Grant is a command to issue a grant.
type Grant struct {
	Account  string
	ID       string
	Amount   int64 // micro-credits
	Priority int
	Begins   int64 // microseconds; 0 for at once
	Ends     int64 // microseconds; 0 for never
	Minutes  int64 // of its recurrence; 0 for none
}

// Command is any other command: account, plan, hold, capture, release, adjust or
// decline.
type Command struct {
	Kind    string
	Account string // the plan, of kind plan
	ID      string // of the hold, the adjustment or the request for a top-up
	Amount  int64  // micro-credits
}

// Correction is a command to void an event, or to amend it: then the event is
// taken to have been another call.
type Correction struct {
	ID
	Account   string
	Operation string // empty to void
	A, B      int64
}

// Settings are what an account lives by from its first event on.
type Settings struct {
	Account string
	Plan    string
	Started int64 // microseconds
}

// Answer is the definite answer to a command, as far as it was one.
type Answer struct {
	Kind     string
	Account  string
	ID       string // of the grant, hold or adjustment
	Status   int
	Sequence uint64 // of the command in LEDGER; 0 when the answer does not say
	Outcome  string // applied, unchanged, or the code of a refusal
	// Available and Held are the account's behind the command, in micro-credits.
	Available, Held int64
}

// HashOf is the hash that stands for a body.
func HashOf(body []byte) uint64 {
	sum := sha256.Sum256(body)
	return binary.BigEndian.Uint64(sum[:8])
}

// Writer appends to a journal. It may be used by several goroutines.
type Writer struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	err  error
	line []byte
}

// Create begins a journal.
func Create(path string) (*Writer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create the journal: %w", err)
	}
	return &Writer{file: file, out: bufio.NewWriterSize(file, 1<<20)}, nil
}

// Write appends records, each of a type of this package.
func (w *Writer) Write(records ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, record := range records {
		w.line = append(encode(w.line[:0], record), '\n')
		if _, err := w.out.Write(w.line); err != nil && w.err == nil {
			w.err = err
		}
	}
}

// Close ends the journal. Its error is the first that any write met.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Flush(); err != nil && w.err == nil {
		w.err = err
	}
	if err := w.file.Close(); err != nil && w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return fmt.Errorf("write the journal: %w", w.err)
	}
	return nil
}

func encode(b []byte, record any) []byte {
	switch r := record.(type) {
	case Event:
		b = numbers(append(b, 'e'), int64(r.Producer), int64(r.Number))
		b = words(b, r.Account, strconv.Quote(r.Operation))
		return numbers(b, int64(r.Status), r.A, r.B, r.Micros)
	case Bad:
		return words(numbers(append(b, 'x'), int64(r.Producer), int64(r.Number)), r.Reason)
	case Message:
		b = strconv.AppendUint(append(numbers(append(b, 'm'), int64(r.Producer)), ' '), r.Hash, 16)
		b = words(b, r.Subject)
		for _, item := range r.Items {
			b = strconv.AppendInt(append(numbers(b, int64(item.Number)), ':'), int64(item.Bytes), 10)
		}
		return b
	case Ack:
		return strconv.AppendUint(append(strconv.AppendUint(append(b, "a "...), r.Hash, 16), ' '), r.Sequence, 10)
	case Post:
		b = numbers(append(b, 'p'), int64(r.Producer), int64(r.Status))
		for _, n := range r.Numbers {
			b = numbers(b, int64(n))
		}
		return b
	case Grant:
		b = words(append(b, 'g'), r.Account, r.ID)
		return numbers(b, r.Amount, int64(r.Priority), r.Begins, r.Ends, r.Minutes)
	case Command:
		return numbers(words(append(b, 'c'), r.Kind, r.Account, r.ID), r.Amount)
	case Correction:
		b = numbers(append(b, 'v'), int64(r.Producer), int64(r.Number))
		return numbers(words(b, r.Account, strconv.Quote(r.Operation)), r.A, r.B)
	case Settings:
		return numbers(words(append(b, 's'), r.Account, r.Plan), r.Started)
	case Answer:
		b = numbers(words(append(b, 'A'), r.Kind, r.Account, r.ID), int64(r.Status), int64(r.Sequence))
		return numbers(words(b, r.Outcome), r.Available, r.Held)
	}
	panic(fmt.Sprintf("journal: no record of type %T", record))
}

func numbers(b []byte, ns ...int64) []byte {
	for _, n := range ns {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return b
}

func words(b []byte, ws ...string) []byte {
	for _, w := range ws {
		b = append(append(b, ' '), w...)
	}
	return b
}
