package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthcheckCommand asks a service on this machine whether it is well. It is
// for container images, which have no other HTTP client.
func (a *app) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "healthcheck [URL]", Short: "Ask a service whether it is well", Args: cobra.MaximumNArgs(1), Hidden: true,
		Example: "  drawdown healthcheck http://127.0.0.1:8080/readyz",
		RunE: func(c *cobra.Command, args []string) error {
			url := "http://" + ownAddress(a.cfg.MetricsAddr) + "/healthz"
			if len(args) == 1 {
				url = args[0]
			}
			request, err := http.NewRequestWithContext(c.Context(), http.MethodGet, url, http.NoBody)
			if err != nil {
				return usageError("%s: %v", url, err)
			}
			answer, err := (&http.Client{Timeout: 2 * time.Second}).Do(request)
			if err != nil {
				return fmt.Errorf("ask %s: %w", url, err)
			}
			defer func() { _ = answer.Body.Close() }() // was only read
			text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
			if err != nil || answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s: %s", url, answer.Status, strings.TrimSpace(string(text)))
			}
			return nil
		},
	}
}

// ownAddress is where a listener on all addresses is reached from inside.
func ownAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
