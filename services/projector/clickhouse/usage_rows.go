package clickhouse

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/drawdown-credits/drawdown/events"
)

// quantityPlaces is the scale of quantities in ClickHouse: no event has more.
const quantityPlaces = 12

// decimals is a Decimal(38, 12) column; ch-go's own does not name its scale.
type decimals struct{ proto.ColDecimal128 }

func (*decimals) Type() proto.ColumnType { return "Decimal(38, 12)" }

// plain hides from ch-go that a column may learn its type from the server:
// ch-go cannot read the type of a map to decimals, and need not.
type plain struct{ proto.ColInput }

func (p plain) Reset() { p.ColInput.(proto.Resettable).Reset() }

// usageRows are rows of table usage_events.
type usageRows struct {
	*columns
	source, account, operation, project, key *proto.ColLowCardinality[string]
	id                                       *proto.ColStr
	time, recordedAt                         moments
	status                                   *proto.ColUInt16
	quantities                               *proto.ColMap[string, proto.Decimal128]
	attributes                               *proto.ColMap[string, string]
	amount                                   *proto.ColInt64
	usageSeq, ledgerSeq                      *proto.ColUInt64
	usageIndex, entryIndex                   *proto.ColUInt32
}

func newUsageRows() *usageRows {
	c := newColumns(TableUsage)
	r := &usageRows{
		columns: c,
		source:  c.word("source"), id: c.text("id"), account: c.word("account"), time: c.moment("time"),
		operation: c.word("operation"), status: c.uint16("status"), project: c.word("project"), key: c.word("key"),
		quantities: proto.NewMap[string, proto.Decimal128](new(proto.ColStr), new(decimals)),
		attributes: proto.NewMap[string, string](new(proto.ColStr), new(proto.ColStr)),
	}
	c.add("quantities", plain{r.quantities})
	c.add("attributes", r.attributes)
	r.amount = c.int64("amount_uc")
	r.usageSeq, r.usageIndex = c.uint64("usage_seq"), c.uint32("usage_index")
	r.ledgerSeq, r.entryIndex = c.uint64("ledger_seq"), c.uint32("entry_index")
	r.recordedAt = c.moment("recorded_at")
	c.sealed()
	return r
}

func (r *usageRows) row(i int) Row {
	return Row{
		Sequence: r.ledgerSeq.Row(i), Entry: int(r.entryIndex.Row(i)), Account: r.account.Row(i),
		Source: r.source.Row(i), ID: r.id.Row(i), Amount: events.Credits(r.amount.Row(i)),
	}
}

// put appends the usage event that debit d charges to account.
func (r *usageRows) put(from origin, account string, d *events.Debit) {
	r.source.Append(d.Source)
	r.id.Append(d.ID)
	r.account.Append(account)
	r.time.put(d.Time)
	r.operation.Append(d.Data.Operation)
	r.status.Append(uint16(d.Data.Status))
	r.project.Append(d.Data.Project)
	r.key.Append(d.Data.Key)
	r.putQuantities(d.Data.Quantities)
	r.putAttributes(d.Data.Attributes)
	r.amount.Append(int64(d.Amount))
	r.usageSeq.Append(d.Position.Sequence)
	r.usageIndex.Append(uint32(d.Position.Index))
	r.ledgerSeq.Append(from.sequence)
	r.entryIndex.Append(uint32(from.entry))
	r.recordedAt.put(from.recordedAt)
}

// Maps are written in the order of their names, so that a batch is the same
// bytes whenever it is sent.
func (r *usageRows) putQuantities(quantities map[string]events.Quantity) {
	for _, name := range slices.Sorted(maps.Keys(quantities)) {
		r.quantities.Keys.Append(name)
		r.quantities.Values.Append(decimal(quantities[name]))
	}
	r.quantities.Offsets.Append(uint64(r.quantities.Keys.Rows()))
}

func (r *usageRows) putAttributes(attributes map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		r.attributes.Keys.Append(name)
		r.attributes.Values.Append(attributes[name])
	}
	r.attributes.Offsets.Append(uint64(r.attributes.Keys.Rows()))
}

// decimal is q with 12 places, exactly: it has at most 30 digits then.
func decimal(q events.Quantity) proto.Decimal128 {
	coefficient, places := q.Fraction()
	scale := uint64(1)
	for range quantityPlaces - places {
		scale *= 10
	}
	high, low := bits.Mul64(coefficient, scale)
	return proto.Decimal128{High: high, Low: low}
}
