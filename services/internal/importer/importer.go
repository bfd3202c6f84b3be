// Package importer reads usage events from files that other programs wrote:
// web server logs in combined format, CSV, and CloudEvents. It only reads; a
// line it cannot use is returned with its number and does not stop the rest.
//
// An event's id is derived from its line and the line's number, so importing a
// file twice, or a file that has grown by whole lines, counts each line once.
package importer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// lineMax bounds one line of a file, in bytes.
const lineMax = 1 << 20

// Record is one line of a file: a usage event, or why there is none.
type Record struct {
	Line  int // from 1
	Usage events.Usage
	Err   error // what is wrong with the line; nil for an event
}

// Shift moves and selects event times.
type Shift struct {
	By    time.Duration // added to each time
	Since time.Time     // events before it, after shifting, are left out; zero keeps all
}

// apply shifts u and reports whether it is kept.
func (s Shift) apply(u *events.Usage) bool {
	u.Time = u.Time.Add(s.By)
	return s.Since.IsZero() || !u.Time.Before(s.Since)
}

// Reader reads the records of one file in order. Next returns io.EOF at its
// end and any other error when the file itself cannot be read.
type Reader interface {
	Next() (Record, error)
}

// stableID identifies a line by content and position.
func stableID(line int, text []byte) string {
	h := sha256.New()
	h.Write(strconv.AppendInt(nil, int64(line), 10))
	h.Write([]byte{'\n'})
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// check is the last word on a record: what the pipeline would refuse is
// refused here, with its line.
func check(line int, u events.Usage) Record {
	if err := u.Validate(); err != nil {
		return Record{Line: line, Err: err}
	}
	return Record{Line: line, Usage: u}
}

// lines reads a text file line by line, however its lines end.
type lines struct {
	reader *bufio.Reader
	number int
	shift  Shift
}

func newLines(r io.Reader, shift Shift) *lines {
	return &lines{reader: bufio.NewReaderSize(r, lineMax), shift: shift}
}

// record returns the next line that is not empty and not left out, as parse
// understands it.
func (l *lines) record(parse func(text []byte, line int) (events.Usage, error)) (Record, error) {
	for {
		text, err := l.next()
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Record{Line: l.number, Err: fmt.Errorf("the line is longer than %d bytes", lineMax)}, nil
		case err != nil:
			return Record{}, err
		}
		usage, err := parse(text, l.number)
		if err != nil {
			return Record{Line: l.number, Err: err}, nil
		}
		if l.shift.apply(&usage) {
			return check(l.number, usage), nil
		}
	}
}

// next returns the next line that is not empty, bufio.ErrBufferFull for one
// that is too long (and is then behind it), or io.EOF.
func (l *lines) next() ([]byte, error) {
	for {
		text, err := l.reader.ReadSlice('\n')
		l.number++
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, errors.Join(err, l.skip())
		}
		if trimmed := bytes.TrimRight(text, "\r\n"); len(trimmed) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return trimmed, nil
		}
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fmt.Errorf("read line %d: %w", l.number, err)
		}
	}
}

// skip reads to the end of the line.
func (l *lines) skip() error {
	for {
		_, err := l.reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}
