package importer

import (
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

// SourceCombined is the default source of events from combined logs.
const SourceCombined = "urn:drawdown:import:combined"

// Combined reads logs in Apache's combined or common format, as Apache and
// nginx write them: each request becomes one event of the account named after
// the client's address, dots and colons turned to dashes. The operation is
// method and path without the query; status and bytes_out are taken over, and
// bytes of "-" mean none. What follows the bytes is not looked at.
type Combined struct {
	source string
	lines  *lines
}

// NewCombined reads r; an empty source means SourceCombined.
func NewCombined(r io.Reader, source string, shift Shift) *Combined {
	if source == "" {
		source = SourceCombined
	}
	return &Combined{source: source, lines: newLines(r, shift)}
}

// Groups: client, time, request line, status, bytes.
var combinedLine = regexp.MustCompile(`^(\S+) \S+ \S+ \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: |$)`)

const combinedTime = "02/Jan/2006:15:04:05 -0700"

// Next implements Reader.
func (c *Combined) Next() (Record, error) { return c.lines.record(c.parse) }

func (c *Combined) parse(text []byte, line int) (events.Usage, error) {
	fields := combinedLine.FindSubmatch(text)
	if fields == nil {
		return events.Usage{}, fmt.Errorf("expected the combined log format: client ident user [time] \"request\" status bytes")
	}
	at, err := time.Parse(combinedTime, string(fields[2]))
	if err != nil {
		return events.Usage{}, fmt.Errorf("time %q: expected the form %s", fields[2], combinedTime)
	}
	method, rest, _ := strings.Cut(string(fields[3]), " ")
	target, _, _ := strings.Cut(rest, " ")
	path, _, _ := strings.Cut(target, "?")
	if method == "" || path == "" {
		return events.Usage{}, fmt.Errorf("request %q: expected a method and a path", fields[3])
	}
	status, err := strconv.Atoi(string(fields[4]))
	if err != nil {
		return events.Usage{}, fmt.Errorf("status %q: expected a number", fields[4])
	}
	data := events.UsageData{Operation: method + " " + path, Status: status}
	if bytes := string(fields[5]); bytes != "-" {
		out, err := events.ParseQuantity(bytes)
		if err != nil {
			return events.Usage{}, fmt.Errorf("bytes: %w", err)
		}
		data.Quantities = map[string]events.Quantity{"bytes_out": out}
	}
	return events.Usage{
		Source: c.source, ID: stableID(line, text), Account: accountOf(string(fields[1])), Time: at.UTC(), Data: data,
	}, nil
}

// accountOf makes an account's name from a client's: an address in its
// shortest form, dots and colons turned to dashes, or a host name.
func accountOf(client string) string {
	if address, err := netip.ParseAddr(client); err == nil {
		client = address.WithZone("").String()
	}
	return strings.NewReplacer(".", "-", ":", "-").Replace(client)
}
