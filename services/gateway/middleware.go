package gateway

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/drawdown-credits/drawdown/events"
)

const (
	bodyMax     = events.MaxBatchBytes
	bodyTimeout = 30 * time.Second
	// drainMax is how much of a body that is too large is read all the same,
	// so that a client that first sends everything hears the answer.
	drainMax = 8 << 20
)

// openRoutes need no key.
var openRoutes = map[string]bool{
	"GET /healthz": true, "GET /readyz": true, "GET /metrics": true, "GET /openapi.json": true, "GET /docs": true,
}

// middleware does for every request what no operation does itself: it counts,
// admits, answers for routes that do not exist and reads the body.
func (g *Gateway) middleware(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := g.Now()
		out := &recorder{ResponseWriter: w}
		_, route := mux.Handler(r)
		if p := g.admit(out, r, route); p != nil {
			p.write(out)
		} else {
			if longRoutes[route] {
				r = withAnswer(out, r)
			}
			mux.ServeHTTP(out, r)
		}
		if route == "" {
			route = "none"
		}
		g.metrics.answered(route, out.status, g.Now().Sub(began))
	})
}

// admit returns why a request is answered before its route is, if it is.
func (g *Gateway) admit(w *recorder, r *http.Request, route string) *Problem {
	if !openRoutes[route] && (route != "" || strings.HasPrefix(r.URL.Path, "/v1")) && !g.authorized(r) {
		detail := "this call needs the header Authorization: Bearer <API key>"
		if scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && key != "" {
			detail = "the API key is not the gateway's"
		}
		return newProblem(http.StatusUnauthorized, "%s", detail).
			with("WWW-Authenticate", `Bearer realm="drawdown"`)
	}
	if route == "" {
		return noRoute(g.mux, r)
	}
	return readBody(w, r)
}

// authorized compares hashes, so that the time taken tells nothing about the
// key, not even its length.
func (g *Gateway) authorized(r *http.Request) bool {
	if g.APIKey == "" {
		return true
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given, want := sha256.Sum256([]byte(strings.TrimSpace(key))), sha256.Sum256([]byte(g.APIKey))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// noRoute asks the mux what it would answer and says so as a problem.
func noRoute(mux *http.ServeMux, r *http.Request) *Problem {
	answer := &discarded{header: http.Header{}}
	mux.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		allow := answer.header.Get("Allow")
		return newProblem(answer.status, "%s is not allowed here; allowed: %s", r.Method, allow).with("Allow", allow)
	}
	return notFound("there is nothing at %s; /docs lists the calls", clip(r.URL.Path))
}

// discarded is an answer of which only status and header matter.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// readBody replaces the body by its bytes, read within a time and a size. The
// deadline is lifted afterwards: it would cancel the request's context.
func readBody(w *recorder, r *http.Request) *Problem {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	control := http.NewResponseController(w)
	// A writer without deadlines is a test's; its body needs none.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	var body bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= bodyMax {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(r.Body, bodyMax+1))
	if err == nil && n > bodyMax {
		_, err = io.Copy(io.Discard, io.LimitReader(r.Body, drainMax))
	}
	_ = control.SetReadDeadline(time.Time{})
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return newProblem(http.StatusRequestTimeout, "the body did not arrive within %s", bodyTimeout).with("Connection", "close")
	case n > bodyMax:
		return newProblem(http.StatusRequestEntityTooLarge, "the body is too large; expected at most %d bytes", bodyMax)
	case err != nil:
		return newProblem(http.StatusBadRequest, "the body ended before it was complete").with("Connection", "close")
	}
	r.Body, r.ContentLength = io.NopCloser(&body), n
	return nil
}

// clip shortens text that others sent, for use in a detail.
func clip(s string) string {
	const max = 80
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) > max {
		s = strings.ToValidUTF8(s[:max], "") + "…"
	}
	return s
}
