package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// show prints an answer: as it came for machines, as text otherwise.
func (a *app) show(answer []byte, text func()) error {
	if a.format == "text" {
		text()
		return nil
	}
	_, err := fmt.Fprintln(a.out, string(trimNewline(answer)))
	return err
}

// showProblem prints for machines what the gateway said, if err is that.
func (a *app) showProblem(err error) {
	var p *problem
	if a.format == "json" && errors.As(err, &p) {
		fmt.Fprintln(a.out, string(trimNewline(p.body)))
	}
}

// showValue prints a value that no HTTP call answered with.
func (a *app) showValue(value any, text func()) error {
	if a.format == "text" {
		text()
		return nil
	}
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	_, err = fmt.Fprintln(a.out, string(encoded))
	return err
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// table prints rows in columns, the first row being the heads.
func table(w io.Writer, rows ...[]any) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // to a screen or pipe that is gone, nothing can be said
}

// sorted sorts s in place and returns it.
func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// when prints a time for people: to the second, in UTC, - when there is none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// printJSON prints an answer indented.
func (a *app) printJSON(answer []byte) {
	var indented bytes.Buffer
	if json.Indent(&indented, trimNewline(answer), "", "  ") != nil {
		indented.Reset()
		indented.Write(answer)
	}
	fmt.Fprintln(a.out, indented.String())
}

// printRows prints a list of strings a line each, and anything else as JSON.
func (a *app) printRows(items []json.RawMessage) {
	for _, item := range items {
		var text string
		if json.Unmarshal(item, &text) == nil {
			fmt.Fprintln(a.out, text)
			continue
		}
		fmt.Fprintln(a.out, string(item))
	}
}
