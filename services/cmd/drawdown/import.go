package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/importer"
	"github.com/drawdown-credits/drawdown/services/internal/pause"
)

// importBatch is how many events one request carries; importBytes bounds it.
const (
	importBatch = 1000
	importBytes = 512 << 10
)

// importSettings are the flags of an import.
type importSettings struct {
	format, source string
	columns        importer.Columns
	since          string
	shift          string
	grant          string
}

func (a *app) importCommand() *cobra.Command {
	var s importSettings
	command := &cobra.Command{
		Use: "import FILE", Short: "Send the usage in a file: a web log, CSV or CloudEvents", Args: cobra.ExactArgs(1),
		Long: `Send the usage in a file, "-" being standard input.

  combined     web server logs in Apache's combined or common format: account =
               client address, dots to dashes; operation = method and path;
               status, and bytes as quantity bytes_out
  csv          a header line and one call a row
  cloudevents  one structured CloudEvent a line

Each line's event has an id made from its content and number, so importing a
file again changes nothing, even after whole lines were added at its end. Lines
that cannot be used are reported with their number and do not stop the rest;
when none can be used, the exit status is 1.

Ids of events older than the dedup horizon (DRAWDOWN_DEDUP_HORIZON) may be forgotten,
so such events are looked for in the ledger first, and only those that it does
not charge are sent. That needs the connection to NATS, which takes no key, and
reads the ledger once for every 200,000 of them.`,
		Example: `  drawdown import --format combined access.log
  drawdown import --format csv --account code --operation "POST /v1/llm" --time TIMESTAMP \
      --quantity ContextTokens --quantity GeneratedTokens trace.csv`,

		RunE: func(c *cobra.Command, args []string) error { return a.importFile(c.Context(), args[0], s) },
	}
	flags := command.Flags()
	flags.StringVar(&s.format, "format", "", "combined, csv or cloudevents")
	flags.StringVar(&s.source, "source", "", "CloudEvents source of the events; default urn:drawdown:import:FORMAT")
	flags.StringVar(&s.columns.Account, "account", "", "csv: the account of every row")
	flags.StringVar(&s.columns.AccountColumn, "account-column", "", "csv: the column that names the account")
	flags.StringVar(&s.columns.Operation, "operation", "", "csv: the operation of every row")
	flags.StringVar(&s.columns.OperationCol, "operation-column", "", "csv: the column that names the operation")
	flags.StringVar(&s.columns.Time, "time", "", "csv: the column of the time")
	flags.StringVar(&s.columns.ID, "id-column", "", "csv: the column of the event's id")
	flags.StringArrayVar(&s.columns.Quantities, "quantity", nil, "csv: a column that is a quantity; may be repeated")
	flags.StringArrayVar(&s.columns.Attributes, "attribute", nil, "csv: a column that is an attribute; may be repeated")
	flags.StringVar(&s.since, "since", "", "leave out events before this time (RFC 3339), after shifting")
	flags.StringVar(&s.shift, "time-shift", "", "move times by a duration such as 48h or -30m")
	flags.StringVar(&s.grant, "grant", "", "first grant this many credits to each account in the file, once")
	return command
}

// importResult is what an import did.
type importResult struct {
	Lines    int            `json:"records"`
	Accepted int            `json:"accepted"`
	Known    int            `json:"known"` // too old to be remembered, found in the ledger and left out
	Accounts int            `json:"accounts"`
	Refused  []importedLine `json:"refused"`
}

type importedLine struct {
	Line   int    `json:"line"`
	Detail string `json:"detail"`
}

func (a *app) importFile(ctx context.Context, name string, s importSettings) error {
	if err := s.checkGrant(); err != nil {
		return err
	}
	file, size, err := openInput(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // was only read
	bar := a.bar(size, "importing")
	reader, err := s.reader(io.TeeReader(file, bar))
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	job := &importJob{
		app: a, client: client, grant: s.grant, accounts: map[string]bool{}, result: importResult{Refused: []importedLine{}},
	}
	defer job.close()
	if err := job.run(ctx, reader); err != nil {
		return importFailed(name, err)
	}
	_ = bar.Finish() // only draws
	job.result.Accounts = len(job.accounts)
	if err := a.showValue(job.result, func() { a.printImport(job.result) }); err != nil {
		return err
	}
	if job.result.Accepted+job.result.Known == 0 && len(job.result.Refused) > 0 {
		return errReported
	}
	return nil
}

// importFailed wraps err of an import. What can pass by itself, unlike a refusal
// of the gateway, is worth another try.
func importFailed(name string, err error) error {
	var p *problem
	if errors.As(err, &p) && p.Status < http.StatusInternalServerError {
		return fmt.Errorf("import %s: %w", name, err)
	}
	return fmt.Errorf("import %s: %w; what was accepted is kept, and importing the file again continues it", name, err)
}

func (s importSettings) reader(r io.Reader) (importer.Reader, error) {
	shift, err := s.parseShift()
	if err != nil {
		return nil, err
	}
	switch s.format {
	case "combined":
		return importer.NewCombined(r, s.source, shift), nil
	case "csv":
		reader, err := importer.NewCSV(r, s.source, s.columns, shift)
		if err != nil {
			return nil, usageError("%v", err)
		}
		return reader, nil
	case "cloudevents":
		return importer.NewCloudEvents(r, shift), nil
	}
	return nil, usageError("--format %q: expected combined, csv or cloudevents", s.format)
}

func (s importSettings) checkGrant() error {
	if s.grant == "" {
		return nil
	}
	if amount, err := events.ParseCredits(s.grant); err != nil || amount <= 0 || amount > events.MaxCredits {
		return usageError("--grant %q: expected credits above 0, at most %s", s.grant, events.MaxCredits)
	}
	return nil
}

func (s importSettings) parseShift() (shift importer.Shift, err error) {
	if s.since != "" {
		if shift.Since, err = time.Parse(time.RFC3339, s.since); err != nil {
			return shift, usageError("--since %q: expected a time such as 2026-12-01T00:00:00Z", s.since)
		}
	}
	if s.shift != "" {
		if shift.By, err = time.ParseDuration(s.shift); err != nil {
			return shift, usageError("--time-shift %q: expected a duration such as 48h or -30m", s.shift)
		}
	}
	return shift, nil
}

func openInput(name string) (*os.File, int64, error) {
	if name == "-" {
		return os.Stdin, -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("open the file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// bar shows progress to people at a screen.
func (a *app) bar(size int64, what string) *progressbar.ProgressBar {
	visible := a.format == "text" && isTerminal(os.Stderr)
	return progressbar.NewOptions64(size, progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetVisibility(visible),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

func (a *app) printImport(r importResult) {
	const shown = 20
	for i, line := range r.Refused {
		if i == shown {
			fmt.Fprintf(a.out, "… and %d more\n", len(r.Refused)-shown)
			break
		}
		fmt.Fprintf(a.out, "line %d: %s\n", line.Line, line.Detail)
	}
	known := ""
	if r.Known > 0 {
		known = fmt.Sprintf("%d charged before and left out, ", r.Known)
	}
	fmt.Fprintf(a.out, "%d events of %d accounts accepted, %s%d lines refused.\n", r.Accepted, r.Accounts, known, len(r.Refused))
	if r.Accepted > 0 {
		fmt.Fprintln(a.out, "Those that are charged already count once.")
	}
}

// oldMargin is how near the dedup horizon an event counts as old: it must not
// become too late on its way.
const oldMargin = time.Hour

// importJob sends records in batches: old ones after a look into the ledger.
type importJob struct {
	app      *app
	client   *client
	grant    string
	accounts map[string]bool
	batch    []importer.Record
	bytes    int
	old      []importer.Record
	backfill *backfiller // nil until an old record comes
	result   importResult
}

func (j *importJob) close() {
	if j.backfill != nil {
		j.backfill.close()
	}
}

func (j *importJob) run(ctx context.Context, reader importer.Reader) error {
	for {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return errors.Join(j.send(ctx), j.sendOld(ctx))
		}
		if err != nil {
			return err
		}
		j.result.Lines++
		if record.Err != nil {
			j.refuse(record.Line, record.Err.Error())
			continue
		}
		encoded, err := events.AppendStructured(nil, record.Usage)
		if err != nil {
			j.refuse(record.Line, err.Error())
			continue
		}
		if err := j.add(ctx, record, len(encoded)); err != nil {
			return err
		}
	}
}

// add takes a record into its batch and sends that when it is full.
func (j *importJob) add(ctx context.Context, record importer.Record, size int) error {
	if record.Usage.Time.Before(time.Now().Add(oldMargin - j.app.cfg.DedupHorizon)) {
		if j.old = append(j.old, record); len(j.old) >= backfillBatch {
			return j.sendOld(ctx)
		}
		return nil
	}
	j.batch = append(j.batch, record)
	if j.bytes += size + 1; len(j.batch) >= importBatch || j.bytes >= importBytes {
		return j.send(ctx)
	}
	return nil
}

func (j *importJob) refuse(line int, detail string) {
	j.result.Refused = append(j.result.Refused, importedLine{Line: line, Detail: detail})
}

// send posts the batch. The gateway takes all of it or nothing: events it
// refuses are reported with their lines and the rest is sent again.
func (j *importJob) send(ctx context.Context) error {
	for len(j.batch) > 0 {
		if err := j.grantNew(ctx, j.batch); err != nil {
			return err
		}
		err := j.post(ctx)
		var refused *problem
		if err == nil {
			j.result.Accepted += len(j.batch)
			break
		}
		if !errors.As(err, &refused) || !j.drop(refused) {
			return err
		}
	}
	j.batch, j.bytes = j.batch[:0], 0
	return nil
}

func (j *importJob) post(ctx context.Context) error {
	body, err := events.EncodeBatch(usagesOf(j.batch))
	if err != nil {
		return fmt.Errorf("encode %d events: %w", len(j.batch), err)
	}
	for attempt := 1; ; attempt++ {
		_, err = j.client.call(ctx, http.MethodPost, "/v1/events", events.ContentTypeBatch, body, nil)
		var p *problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || attempt == postAttempts {
			return err
		}
		if err := pause.For(ctx, time.Duration(attempt)*time.Second); err != nil {
			return err
		}
	}
}

const postAttempts = 5

// drop takes the events a problem names out of the batch, and reports whether
// there were any.
func (j *importJob) drop(p *problem) bool {
	bad := map[int]string{}
	for _, fault := range p.Errors {
		var f struct {
			Index *int
		}
		if json.Unmarshal(fault, &f) == nil && f.Index != nil && *f.Index >= 0 && *f.Index < len(j.batch) {
			bad[*f.Index] = faultLine(fault)
		}
	}
	index := -1
	j.batch = slices.DeleteFunc(j.batch, func(record importer.Record) bool {
		index++
		detail, refused := bad[index]
		if refused {
			j.refuse(record.Line, detail)
		}
		return refused
	})
	return len(bad) > 0
}

// grantNew grants to accounts seen for the first time. The grant's id is the
// same each time, so importing again grants nothing.
func (j *importJob) grantNew(ctx context.Context, records []importer.Record) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(grantsAtOnce)
	for _, record := range records {
		account := record.Usage.Account
		if j.accounts[account] {
			continue
		}
		j.accounts[account] = true
		if j.grant != "" {
			group.Go(func() error { return j.grantTo(ctx, account) })
		}
	}
	return group.Wait()
}

const grantsAtOnce = 16

func (j *importJob) grantTo(ctx context.Context, account string) error {
	body, err := json.Marshal(map[string]string{"id": "import", "amount": j.grant, "note": "granted by import"})
	if err != nil {
		return fmt.Errorf("encode the grant: %w", err)
	}
	if _, err := j.client.call(ctx, http.MethodPost, "/v1/accounts/"+account+"/grants", typeJSON, body, nil); err != nil {
		return fmt.Errorf("grant %s credits to %s: %w", j.grant, account, err)
	}
	return nil
}
