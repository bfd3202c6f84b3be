package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/drawdown-credits/drawdown/services/chaos/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every line with itself until the test ends.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	return listener.Addr().String()
}

// client is a connection through a proxy whose answers come on a channel.
type client struct {
	net.Conn
	lines chan string // closed at the end of the connection
}

func dial(t *testing.T, p *proxy.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: conn, lines: make(chan string, 10)}
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(conn); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

func (c *client) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestAStalledConnectionGoesOnWhereItWas(t *testing.T) {
	for _, mode := range []proxy.Mode{proxy.Stalled, proxy.Deaf} {
		t.Run(mode.String(), func(t *testing.T) {
			p := start(t)
			c := dial(t, p)
			c.say(t, "before")
			if got := <-c.lines; got != "before" {
				t.Fatalf("got %q", got)
			}
			p.Set(mode)
			c.say(t, "during")
			late := dial(t, p)
			late.say(t, "late")
			select {
			case got := <-c.lines:
				t.Fatalf("%q came through a cut", got)
			case got := <-late.lines:
				t.Fatalf("%q came through a cut", got)
			default:
			}
			p.Set(proxy.Open)
			if got := <-c.lines; got != "during" {
				t.Errorf("after the cut: %q", got)
			}
			if got := <-late.lines; got != "late" {
				t.Errorf("the connection made during the cut: %q", got)
			}
		})
	}
}

func TestARefusedConnectionEndsAndSoDoesEveryNewOne(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.say(t, "before")
	<-c.lines
	p.Set(proxy.Refused)
	if got, open := <-c.lines; open {
		t.Errorf("%q came through a cut", got)
	}
	if conn, err := net.Dial("tcp", p.Address()); err == nil { // the reset may come this early
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes came through a cut", n)
		}
		_ = conn.Close()
	}
	p.Set(proxy.Open)
	again := dial(t, p)
	again.say(t, "after")
	if got := <-again.lines; got != "after" {
		t.Errorf("after the cut: %q", got)
	}
}

func TestWhatAStallHeldBackIsLostWhenTheConnectionIsRefused(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.say(t, "before")
	<-c.lines
	p.Set(proxy.Stalled)
	c.say(t, "during")
	p.Set(proxy.Refused)
	p.Set(proxy.Open)
	if got, open := <-c.lines; open {
		t.Errorf("%q came through", got)
	}
}

func TestACutCanComeRightBeforeWhatAClientSays(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	sprung := make(chan struct{}, 2)
	p.When("bait", func() { p.Set(proxy.Stalled); sprung <- struct{}{} })
	c.say(t, "before")
	if got := <-c.lines; got != "before" {
		t.Fatalf("got %q", got)
	}
	c.say(t, "the bait")
	<-sprung
	select {
	case got := <-c.lines:
		t.Errorf("%q came through a cut", got)
	default:
	}
	p.Set(proxy.Open)
	c.say(t, "another bait")
	for _, want := range []string{"the bait", "another bait"} {
		if got := <-c.lines; got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	if len(sprung) > 0 {
		t.Error("the cut came twice")
	}
}

func TestACutCanComeBehindWhatAClientSays(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	sprung := make(chan struct{}, 1)
	p.Behind("bait", func() { p.Set(proxy.Deaf); sprung <- struct{}{} })
	for _, line := range []string{"before", "the bait"} {
		c.say(t, line)
		if got := <-c.lines; got != line {
			t.Fatalf("got %q; want %q", got, line)
		}
	}
	c.say(t, "behind")
	<-sprung
	p.Set(proxy.Refused)
	if got, open := <-c.lines; open {
		t.Errorf("%q came through a cut", got)
	}
}
