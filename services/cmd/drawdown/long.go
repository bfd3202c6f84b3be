package main

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"

	"github.com/drawdown-credits/drawdown/services/gateway"
)

// long calls the gateway for what may take long: without a limit of time, and
// with a line on a person's screen that says how far it is.
func (a *app) long(ctx context.Context, method, path, contentType string, body []byte, result any) ([]byte, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	c.http.Timeout = 0
	c.tell = a.tell()
	told := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
		var done, total uint64
		if n, _ := fmt.Sscanf(header.Get(gateway.HeaderProgress), "%d/%d", &done, &total); n == 2 && total > 0 {
			fmt.Fprintf(a.errs, "\r%s", bar(done, total))
			told = true
		}
		return nil
	}})
	answer, err := c.call(ctx, method, path, contentType, body, result)
	if told {
		fmt.Fprint(a.errs, "\r\x1b[K")
	}
	return answer, err
}

// tell reports whether a person watches the progress.
func (a *app) tell() bool {
	f, ok := a.errs.(*os.File)
	return ok && isTerminal(f)
}

// bar draws how far something is.
func bar(done, total uint64) string {
	const width = 40
	full := int(min(done, total) * width / total)
	return fmt.Sprintf("[%-*s] %3d %% of %d", width, strings.Repeat("#", full), min(done, total)*100/total, total)
}
