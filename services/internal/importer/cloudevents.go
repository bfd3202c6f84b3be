package importer

import (
	"io"

	"github.com/drawdown-credits/drawdown/events"
)

// CloudEvents reads a file of structured CloudEvents, one JSON object a line.
type CloudEvents struct{ lines *lines }

// NewCloudEvents reads r.
func NewCloudEvents(r io.Reader, shift Shift) *CloudEvents {
	return &CloudEvents{lines: newLines(r, shift)}
}

// Next implements Reader.
func (c *CloudEvents) Next() (Record, error) { return c.lines.record(decodeEvent) }

func decodeEvent(text []byte, _ int) (events.Usage, error) {
	item := events.DecodeEvent(text)
	if item.Err != nil {
		return events.Usage{}, item.Err
	}
	return item.Usage, nil
}
