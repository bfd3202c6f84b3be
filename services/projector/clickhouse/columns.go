package clickhouse

import (
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"
)

// columns are the typed columns of one table, filled row by row. Rows are sent
// as they stand and may be sent again.
type columns struct {
	table Table
	input proto.Input
	// Of the batch: the same in every row, and known only at its end.
	first, last *proto.ColUInt64
	count       *proto.ColUInt32
}

func newColumns(table Table) *columns { return &columns{table: table} }

// rows counts the rows added.
func (c *columns) rows() int { return c.input[0].Data.Rows() }

func (c *columns) name() Table { return c.table }

// block is what is inserted.
func (c *columns) block() proto.Input { return c.input }

// generationColumn is a column for which tables of another generation have no
// name. What it holds goes nowhere.
func generationColumn(generation uint64, rows int) proto.InputColumn {
	nothing := make(proto.ColUInt8, rows)
	return proto.InputColumn{Name: generationName(generation), Data: &nothing}
}

// reset empties the columns and keeps their memory.
func (c *columns) reset() { c.input.Reset() }

// seal writes the batch into every row.
func (c *columns) seal(s Span) {
	n := c.rows()
	*c.first = slices.Repeat(proto.ColUInt64{s.First}, n)
	*c.last = slices.Repeat(proto.ColUInt64{s.Last}, n)
	*c.count = slices.Repeat(proto.ColUInt32{uint32(n)}, n)
}

func (c *columns) sealed() {
	c.first, c.last, c.count = c.uint64("batch_first"), c.uint64("batch_last"), c.uint32("batch_rows")
}

func (c *columns) add(name string, data proto.ColInput) {
	c.input = append(c.input, proto.InputColumn{Name: name, Data: data})
}

func (c *columns) text(name string) *proto.ColStr {
	column := new(proto.ColStr)
	c.add(name, column)
	return column
}

func (c *columns) word(name string) *proto.ColLowCardinality[string] {
	column := new(proto.ColStr).LowCardinality()
	c.add(name, column)
	return column
}

func (c *columns) int64(name string) *proto.ColInt64 {
	column := new(proto.ColInt64)
	c.add(name, column)
	return column
}

func (c *columns) uint64(name string) *proto.ColUInt64 {
	column := new(proto.ColUInt64)
	c.add(name, column)
	return column
}

func (c *columns) uint32(name string) *proto.ColUInt32 {
	column := new(proto.ColUInt32)
	c.add(name, column)
	return column
}

func (c *columns) uint16(name string) *proto.ColUInt16 {
	column := new(proto.ColUInt16)
	c.add(name, column)
	return column
}

func (c *columns) uint8(name string) *proto.ColUInt8 {
	column := new(proto.ColUInt8)
	c.add(name, column)
	return column
}

func (c *columns) texts(name string) *proto.ColArr[string] {
	column := new(proto.ColStr).Array()
	c.add(name, column)
	return column
}

func (c *columns) int64s(name string) *proto.ColArr[int64] {
	column := new(proto.ColInt64).Array()
	c.add(name, column)
	return column
}

// moments is a DateTime64(6, 'UTC') column.
type moments struct{ *proto.ColDateTime64 }

func (c *columns) moment(name string) moments {
	column := new(proto.ColDateTime64).WithPrecision(proto.PrecisionMicro).WithLocation(time.UTC)
	c.add(name, column)
	return moments{column}
}

// ClickHouse computes with times of these years. A call that claims another
// time is kept at the nearest one.
var (
	firstMoment = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	lastMoment  = time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC)
)

// put appends t in microseconds.
func (m moments) put(t time.Time) {
	m.Data = append(m.Data, proto.DateTime64(storable(t).UnixMicro()))
}

func (m moments) putNone() { m.Data = append(m.Data, 0) }

// storable is t as a table holds it.
func storable(t time.Time) time.Time {
	switch t = t.UTC().Truncate(time.Microsecond); {
	case t.Before(firstMoment):
		return firstMoment
	case t.After(lastMoment):
		return lastMoment
	}
	return t
}
