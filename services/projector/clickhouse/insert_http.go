package clickhouse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// answerMax bounds how much of a server's complaint is read.
const answerMax = 4 << 10

// httpInserter posts a block in ClickHouse's Native format. clickhouse-go's own
// inserts over HTTP are not used: its batch reports success for a block that it
// could not encode.
type httpInserter struct {
	options *driver.Options
	client  *http.Client
	block   proto.Buffer
	posts   int
}

func newHTTPInserter(options *driver.Options) *httpInserter {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = options.TLS
	return &httpInserter{options: options, client: &http.Client{Transport: transport, Timeout: insertMax}}
}

func (h *httpInserter) insert(ctx context.Context, i insert) error {
	h.block.Reset()
	block := proto.Block{Columns: len(i.input), Rows: i.input[0].Data.Rows()}
	if err := block.EncodeRawBlock(&h.block, 0, i.input); err != nil {
		return fmt.Errorf("encode %d rows: %w", block.Rows, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url(i), bytes.NewReader(h.block.Buf))
	if err != nil {
		return fmt.Errorf("prepare the request: %w", err)
	}
	for name, value := range h.options.HttpHeaders {
		request.Header.Set(name, value)
	}
	request.Header.Set("X-ClickHouse-User", h.options.Auth.Username)
	request.Header.Set("X-ClickHouse-Key", h.options.Auth.Password)
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return refusal(response, answer)
}

// refusal is the error in a server's answer. With wait_end_of_query the answer
// begins when the insert has ended, so its status is the outcome.
func refusal(response *http.Response, answer []byte) error {
	code, _ := strconv.Atoi(response.Header.Get("X-ClickHouse-Exception-Code"))
	if response.StatusCode == http.StatusOK && code == 0 {
		return nil
	}
	if code == 0 {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(answer))
	}
	return &driver.Exception{Code: int32(code), Name: "DB::Exception", Message: string(bytes.TrimSpace(answer))}
}

func (h *httpInserter) url(i insert) string {
	o := h.options
	query := url.Values{
		"database":          {o.Auth.Database},
		"query_id":          {i.queryID},
		"query":             {"INSERT INTO " + quoteName(i.table) + " " + i.input.Columns() + " FORMAT Native"},
		"wait_end_of_query": {"1"},
	}
	for _, s := range i.settings {
		query.Set(s.name, s.value)
	}
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	address := o.Addr[h.posts%len(o.Addr)]
	h.posts++
	return (&url.URL{Scheme: scheme, Host: address, Path: "/" + strings.TrimPrefix(o.HttpUrlPath, "/"), RawQuery: query.Encode()}).String()
}

func (h *httpInserter) close() { h.client.CloseIdleConnections() }
