package importer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// SourceCSV is the default source of events from CSV files.
const SourceCSV = "urn:drawdown:import:csv"

// Columns says how a CSV row becomes a usage event. Names are those of the
// file's header line.
type Columns struct {
	Account       string // one account for every row
	AccountColumn string // or the column that names it
	Operation     string // one operation for every row
	OperationCol  string // or the column that names it
	Time          string // column of the time, in UTC unless it says otherwise; required
	ID            string // column of the id; none: derived from row and line number
	Quantities    []string
	Attributes    []string
}

// CSV reads a file with a header line, one usage event a row.
type CSV struct {
	source  string
	columns Columns
	shift   Shift
	reader  *csv.Reader
	index   map[string]int
}

// NewCSV reads r's header line and checks that every column named is there.
func NewCSV(r io.Reader, source string, columns Columns, shift Shift) (*CSV, error) {
	if source == "" {
		source = SourceCSV
	}
	if err := columns.check(); err != nil {
		return nil, err
	}
	reader := csv.NewReader(r)
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("read the header line: %w", err)
	}
	index := make(map[string]int, len(header))
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if _, twice := index[name]; twice {
			return nil, fmt.Errorf("the header names column %q twice; expected each once", name)
		}
		index[name] = i
	}
	for _, name := range columns.named() {
		if _, ok := index[name]; !ok {
			return nil, fmt.Errorf("the header has no column %q; it has %s", name, strings.Join(header, ", "))
		}
	}
	return &CSV{source: source, columns: columns, shift: shift, reader: reader, index: index}, nil
}

func (c Columns) check() error {
	switch {
	case (c.Account == "") == (c.AccountColumn == ""):
		return errors.New("expected either an account for all rows (--account) or the column that names it (--account-column)")
	case (c.Operation == "") == (c.OperationCol == ""):
		return errors.New("expected either an operation for all rows (--operation) or the column that names it (--operation-column)")
	case c.Time == "":
		return errors.New("expected the column of the time (--time)")
	}
	return nil
}

func (c Columns) named() []string {
	names := slices.Concat([]string{c.AccountColumn, c.OperationCol, c.Time, c.ID}, c.Quantities, c.Attributes)
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// Next implements Reader.
func (c *CSV) Next() (Record, error) {
	for {
		row, err := c.reader.Read()
		var malformed *csv.ParseError
		switch {
		case errors.As(err, &malformed):
			return Record{Line: malformed.StartLine, Err: fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)}, nil
		case errors.Is(err, io.EOF):
			return Record{}, io.EOF
		case err != nil:
			return Record{}, fmt.Errorf("read CSV: %w", err)
		}
		line, _ := c.reader.FieldPos(0)
		usage, err := c.parse(row, line)
		if err != nil {
			return Record{Line: line, Err: err}, nil
		}
		if c.shift.apply(&usage) {
			return check(line, usage), nil
		}
	}
}

func (c *CSV) parse(row []string, line int) (events.Usage, error) {
	if len(row) != len(c.index) {
		return events.Usage{}, fmt.Errorf("%d fields; expected %d, as the header has", len(row), len(c.index))
	}
	field := func(name string) string { return strings.TrimSpace(row[c.index[name]]) }
	at, err := parseTime(field(c.columns.Time))
	if err != nil {
		return events.Usage{}, fmt.Errorf("column %s: %w", c.columns.Time, err)
	}
	usage := events.Usage{Source: c.source, Account: c.columns.Account, Time: at, Data: events.UsageData{Operation: c.columns.Operation}}
	if c.columns.AccountColumn != "" {
		usage.Account = field(c.columns.AccountColumn)
	}
	if c.columns.OperationCol != "" {
		usage.Data.Operation = field(c.columns.OperationCol)
	}
	if usage.ID = stableID(line, rowBytes(row)); c.columns.ID != "" {
		usage.ID = field(c.columns.ID)
	}
	for _, name := range c.columns.Quantities {
		quantity, err := events.ParseQuantity(field(name))
		if err != nil {
			return events.Usage{}, fmt.Errorf("column %s: %w", name, err)
		}
		if usage.Data.Quantities == nil {
			usage.Data.Quantities = make(map[string]events.Quantity, len(c.columns.Quantities))
		}
		usage.Data.Quantities[name] = quantity
	}
	for _, name := range c.columns.Attributes {
		if usage.Data.Attributes == nil {
			usage.Data.Attributes = make(map[string]string, len(c.columns.Attributes))
		}
		usage.Data.Attributes[name] = field(name)
	}
	return usage, nil
}

// rowBytes is a row's content however its file quoted and ended it.
func rowBytes(row []string) []byte {
	return bytes.Join(slices.Collect(func(yield func([]byte) bool) {
		for _, field := range row {
			if !yield([]byte(field)) {
				return
			}
		}
	}), []byte{0x1f})
}

// parseTime reads the forms that logs and exports use.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: expected RFC 3339 or YYYY-MM-DD hh:mm:ss[.fraction]", s)
}
