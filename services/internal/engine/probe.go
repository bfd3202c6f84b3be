package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const probeMax = 10 * time.Second

// probe reports why the engine does not serve yet, nil when it does. It asks
// with the folder's own password, so a stranger on the port is not mistaken for
// the engine, and makes sure Database exists.
func (e *Engine) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	if err := e.probeHTTP(ctx); err != nil {
		return err
	}
	return e.probeNative(ctx)
}

func (e *Engine) probeHTTP(ctx context.Context) error {
	query := strings.NewReader("CREATE DATABASE IF NOT EXISTS " + Database)
	address := "http://" + e.address(e.cfg.HTTPPort) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, query)
	if err != nil {
		return fmt.Errorf("ask engine over http: %w", err)
	}
	request.SetBasicAuth(userServices, string(e.credentials.Services))
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask engine over http: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, tailMax)) // the status says enough without it
		return fmt.Errorf("ask engine over http: %s: %s", response.Status, strings.TrimSpace(string(reason)))
	}
	return nil
}

func (e *Engine) probeNative(ctx context.Context) error {
	options, err := clickhouse.ParseDSN(e.NativeDSN(Database))
	if err != nil {
		return fmt.Errorf("ask engine over native protocol: %w", err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return fmt.Errorf("ask engine over native protocol: %w", err)
	}
	defer conn.Close()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("ask engine over native protocol: %w", err)
	}
	return nil
}
