package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawdown-credits/drawdown/services/gateway"
	"github.com/drawdown-credits/drawdown/services/internal/lease"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show who works on what, and how far each has come", Args: cobra.NoArgs,
		Long: `Show each partition of each service with the instance that has it and the last
message it has done; how much each process has; and what the streams hold.
Exit status 1 when a partition has stopped or nobody has it.`,
		Example: "  drawdown status",
		RunE: func(c *cobra.Command, _ []string) error {
			var s gateway.Status
			answer, err := a.short(c.Context(), http.MethodGet, "/v1/status", "", nil, &s)
			if err != nil {
				return err
			}
			if err := a.show(answer, func() { a.printStatus(s) }); err != nil {
				return err
			}
			if t := tallyOf(s); t.stopped+t.ownerless > 0 {
				return errReported
			}
			return nil
		},
	}
}

// tally counts partitions of services by how they stand.
type tally struct {
	stopped, ownerless, onItsWay int
	lag                          uint64
}

func tallyOf(s gateway.Status) (t tally) {
	for _, service := range s.Services {
		for _, p := range service.Partitions {
			t.lag += p.Lag
			switch {
			case p.Owner == "":
				t.ownerless++
			case p.Stopped():
				t.stopped++
			case p.OnItsWay():
				t.onItsWay++
			}
		}
	}
	return t
}

// printStatus shows the services that share partitions side by side, a line a
// partition, then whatever is not as it should be in words.
func (a *app) printStatus(s gateway.Status) {
	heads, rows := []any{"PARTITION"}, make([][]any, s.Partitions)
	for i := range rows {
		rows[i] = []any{i}
	}
	for _, service := range s.Services {
		if service.Service == lease.ClickHouse {
			continue
		}
		heads = append(heads, strings.ToUpper(service.Service), "AT")
		for i, p := range service.Partitions {
			if i < len(rows) {
				rows[i] = append(rows[i], cmp.Or(p.Owner, "nobody"), stands(p))
			}
		}
	}
	table(a.out, append([][]any{heads}, rows...)...)
	for _, service := range s.Services {
		if service.Service == lease.ClickHouse && len(service.Partitions) == 1 {
			p := service.Partitions[0]
			fmt.Fprintf(a.out, "\nClickHouse is written by %s, at %s of LEDGER.\n", cmp.Or(p.Owner, "nobody"), stands(p))
		}
	}
	a.printInstances(s)
	a.printStreams(s)
	a.printTroubles(s)
	fmt.Fprintln(a.out, "\n"+summary(s))
}

// stands says where an owner is in its input, and what is unusual about it.
func stands(p gateway.PartitionStatus) string {
	text := fmt.Sprint(p.Sequence)
	if p.Lag > 0 {
		text += fmt.Sprintf(" (%d behind)", p.Lag)
	}
	switch {
	case p.Owner == "":
		return "-"
	case p.Stopped():
		return text + " " + lease.StateStopped
	case p.OnItsWay():
		return text + " " + p.State
	}
	return text
}

func (a *app) printInstances(s gateway.Status) {
	services := []string{lease.Rater, lease.Balances, lease.Enforcer, lease.ClickHouse}
	heads := []any{"\nINSTANCE"}
	for _, service := range services {
		heads = append(heads, strings.ToUpper(service))
	}
	rows := [][]any{append(heads, "SINCE")}
	for _, i := range s.Instances {
		row := []any{i.Instance}
		for _, service := range services {
			n, member := i.Partitions[service]
			if !member {
				row = append(row, "-")
				continue
			}
			row = append(row, n)
		}
		rows = append(rows, append(row, when(i.Since)))
	}
	table(a.out, rows...)
}

func (a *app) printStreams(s gateway.Status) {
	rows := [][]any{{"\nSTREAM", "MESSAGES", "BYTES", "FIRST", "LAST", "LAST AT"}}
	for _, stream := range s.Streams {
		rows = append(rows, []any{stream.Stream, stream.Messages, bytesText(stream.Bytes), stream.First, stream.Last, when(stream.LastAt)})
	}
	table(a.out, rows...)
}

// bytesText writes a size as people read it.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprint(n)
	}
	size, units := float64(n)/unit, "KMGTP"
	for size >= unit && len(units) > 1 {
		size, units = size/unit, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", size, units[0])
}

// printTroubles says what has gone wrong where; partitions with the same trouble
// share a line.
func (a *app) printTroubles(s gateway.Status) {
	var troubles []string
	where := map[string][]int{}
	for _, service := range s.Services {
		for _, p := range service.Partitions {
			trouble := ""
			switch {
			case p.Owner == "":
				trouble = service.Service + " is without an owner: no instance of it has come, or none is left"
			case p.Stopped():
				trouble = service.Service + " has stopped: " + p.Error
			case p.Error != "":
				trouble = service.Service + " is " + p.State + ": " + p.Error
			default:
				continue
			}
			if where[trouble] == nil {
				troubles = append(troubles, trouble)
			}
			where[trouble] = append(where[trouble], p.Partition)
		}
	}
	if len(troubles) > 0 {
		fmt.Fprintln(a.out)
	}
	for _, trouble := range troubles {
		if strings.HasPrefix(trouble, lease.ClickHouse) {
			fmt.Fprintln(a.out, trouble)
			continue
		}
		fmt.Fprintf(a.out, "partition %s: %s\n", ranges(where[trouble]), trouble)
	}
}

// ranges writes ascending numbers as 0-3, 7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if part := fmt.Sprint(numbers[i]); j == i {
			parts = append(parts, part)
		} else {
			parts = append(parts, fmt.Sprintf("%s-%d", part, numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// summary is the state in a line.
func summary(s gateway.Status) string {
	t := tallyOf(s)
	var unusual []string
	for _, of := range []struct {
		n    int
		what string
	}{{t.stopped, "stopped"}, {t.ownerless, "without an owner"}, {t.onItsWay, "on the way"}} {
		if of.n > 0 {
			unusual = append(unusual, fmt.Sprintf("%d %s", of.n, of.what))
		}
	}
	state := "all live"
	if len(unusual) > 0 {
		state = strings.Join(unusual, ", ")
	}
	return fmt.Sprintf("%s, %s, %s; lag %d", count(s.Partitions, "partition"), count(len(s.Instances), "instance"), state, t.lag)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
