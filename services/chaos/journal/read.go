package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Read calls take with each record of a journal, in the order written, and
// stops at its first error.
func Read(path string, take func(record any) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	for number := 1; ; number++ {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		record, err := decode(strings.TrimSuffix(line, "\n"))
		if err == nil {
			err = take(record)
		}
		if err != nil {
			return fmt.Errorf("line %d of the journal: %w", number, err)
		}
	}
}

// fields takes a line apart from its front.
type fields struct {
	rest string
	err  error
}

func (f *fields) more() bool { return f.rest != "" && f.err == nil }

func (f *fields) word() string {
	word, rest, _ := strings.Cut(f.rest, " ")
	f.rest = rest
	return word
}

func (f *fields) quoted() string {
	prefix, err := strconv.QuotedPrefix(f.rest)
	if err != nil {
		f.err = err
		return ""
	}
	f.rest = strings.TrimPrefix(f.rest[len(prefix):], " ")
	text, err := strconv.Unquote(prefix)
	f.fail(err)
	return text
}

func (f *fields) int64() int64 {
	n, err := strconv.ParseInt(f.word(), 10, 64)
	f.fail(err)
	return n
}

func (f *fields) int() int { return int(f.int64()) }

func (f *fields) uint64(base int) uint64 {
	n, err := strconv.ParseUint(f.word(), base, 64)
	f.fail(err)
	return n
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func decode(line string) (any, error) {
	f := &fields{rest: line}
	var record any
	switch kind := f.word(); kind {
	case "e":
		e := Event{ID: ID{f.int(), f.int()}, Account: f.word(), Operation: f.quoted()}
		e.Status, e.A, e.B, e.Micros = f.int(), f.int64(), f.int64(), f.int64()
		record = e
	case "x":
		record = Bad{ID: ID{f.int(), f.int()}, Reason: f.word()}
	case "m":
		m := Message{Producer: f.int(), Hash: f.uint64(16), Subject: f.word()}
		for f.more() {
			number, bytes, _ := strings.Cut(f.word(), ":")
			item := Item{}
			var err error
			item.Number, err = strconv.Atoi(number)
			f.fail(err)
			item.Bytes, err = strconv.Atoi(bytes)
			f.fail(err)
			m.Items = append(m.Items, item)
		}
		record = m
	case "a":
		record = Ack{Hash: f.uint64(16), Sequence: f.uint64(10)}
	case "p":
		p := Post{Producer: f.int(), Status: f.int()}
		for f.more() {
			p.Numbers = append(p.Numbers, f.int())
		}
		record = p
	case "g":
		record = Grant{Account: f.word(), ID: f.word(), Amount: f.int64(), Priority: f.int(), Begins: f.int64(), Ends: f.int64(), Minutes: f.int64()}
	case "c":
		record = Command{Kind: f.word(), Account: f.word(), ID: f.word(), Amount: f.int64()}
	case "v":
		c := Correction{ID: ID{f.int(), f.int()}, Account: f.word(), Operation: f.quoted()}
		c.A, c.B = f.int64(), f.int64()
		record = c
	case "s":
		record = Settings{Account: f.word(), Plan: f.word(), Started: f.int64()}
	case "A":
		record = Answer{
			Kind: f.word(), Account: f.word(), ID: f.word(), Status: f.int(), Sequence: f.uint64(10), Outcome: f.word(),
			Available: f.int64(), Held: f.int64(),
		}
	default:
		return nil, fmt.Errorf("unknown record %q", kind)
	}
	return record, f.err
}
