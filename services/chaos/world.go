package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/disk"
	"github.com/drawdown-credits/drawdown/services/chaos/process"
	"github.com/drawdown-credits/drawdown/services/chaos/proxy"
)

const (
	natsUser     = "drawdown"
	natsPassword = "chaos"
	apiKey       = "chaos"

	startMax = 2 * time.Minute // for anything to come up
	stopMax  = 20 * time.Second
	poll     = 50 * time.Millisecond
)

// programs are the binaries of a run.
type programs struct {
	drawdown, nats string
}

// world is one installation with everything it runs on.
type world struct {
	programs
	dir        string
	partitions int
	image      bool // disks are images, not memory
	diskBytes  int64

	nodes    []*node
	routes   map[[2]int]*proxy.Proxy // from one node to another
	services []*service
	engine   *process.Process
	engineIn endpoints
	toEngine string // address

	producers []*proxy.Proxy // of their connections to the nodes
	closers   []func()

	mu     sync.Mutex
	forced int // programs that did not end when asked
	revive int // nodes that had to be restarted once their disk had room
}

// node is one NATS server.
type node struct {
	*process.Process
	name                string
	port, monitor, root int
	disk                *disk.Disk // nil where nothing can be mounted
}

// endpoints are what the engine's data folder says.
type endpoints struct {
	ClickHouse string `json:"clickhouse"`
	SQL        string `json:"clickhouse_url"`
}

// build compiles what is not given into dir.
func build(dir string, p programs) (programs, error) {
	for _, b := range []struct {
		path *string
		name string
		from string
	}{
		{&p.drawdown, "drawdown", "github.com/drawdown-credits/drawdown/services/cmd/drawdown"},
		{&p.nats, "nats-server", "github.com/nats-io/nats-server/v2"},
	} {
		if *b.path != "" {
			continue
		}
		*b.path = filepath.Join(dir, b.name)
		cmd := exec.Command("go", "build", "-o", *b.path, b.from)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.name, err, out)
		}
	}
	return p, nil
}

// close ends everything.
func (w *world) close() {
	var ending sync.WaitGroup
	for _, s := range w.services {
		ending.Go(s.Kill)
	}
	for _, n := range w.nodes {
		ending.Go(n.Kill)
	}
	if w.engine != nil {
		ending.Go(w.engine.Kill)
	}
	ending.Wait()
	for _, closer := range w.closers {
		closer()
	}
}

// through opens a proxy of target for as long as the world lasts.
func (w *world) through(target string) (*proxy.Proxy, error) {
	p, err := proxy.Listen("127.0.0.1:0", target)
	if err == nil {
		w.closers = append(w.closers, p.Close)
	}
	return p, err
}

// startNATS starts the nodes and waits until they answer. shipped is the text
// of the configuration that is delivered with Drawdown.
func (w *world) startNATS(ctx context.Context, shipped string, nodes int) error {
	for i := range nodes {
		n := &node{name: fmt.Sprintf("nats-%d", i+1)}
		for _, port := range []*int{&n.port, &n.monitor, &n.root} {
			var err error
			if *port, err = process.Port(); err != nil {
				return err
			}
		}
		w.nodes = append(w.nodes, n)
	}
	w.routes = map[[2]int]*proxy.Proxy{}
	for i := range w.nodes {
		for j, to := range w.nodes {
			if i == j {
				continue
			}
			p, err := w.through(process.Loopback(to.root))
			if err != nil {
				return err
			}
			w.routes[[2]int{i, j}] = p
		}
	}
	for i, n := range w.nodes {
		if err := w.startNode(shipped, i, n); err != nil {
			return err
		}
	}
	for _, n := range w.nodes {
		if err := w.eventually(ctx, n.name+" is healthy", n.healthy); err != nil {
			return err
		}
	}
	var err error
	w.producers, err = w.clientProxies()
	return err
}

func (w *world) startNode(shipped string, i int, n *node) error {
	store := filepath.Join(w.dir, n.name)
	d, err := disk.Mount(w.dir, n.name+"-disk", w.diskBytes, w.image)
	switch {
	case err == nil:
		n.disk, store = d, filepath.Join(d.Path, "store")
		w.closers = append(w.closers, func() { _ = d.Close() }) // the namespace ends with the run anyway
	case !errors.Is(err, disk.ErrNoMount):
		return err
	}
	text, err := w.natsConfig(shipped, i, n, store)
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, n.name+".conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", n.name, err)
	}
	n.Process = process.New(process.Spec{
		Name: n.name, Path: w.nats, Args: []string{"-c", path}, Env: []string{"NATS_PASSWORD=" + natsPassword}, Log: w.logOf(n.name),
	})
	return n.Start()
}

// natsConfig is the shipped configuration with only what names this node
// replaced.
func (w *world) natsConfig(shipped string, i int, n *node, store string) (string, error) {
	for old, text := range map[string]string{
		"\nport: 4222\n":    fmt.Sprintf("\nlisten: %q\nserver_name: %s\n", process.Loopback(n.port), n.name),
		"\nhttp_port: 8222": fmt.Sprintf("\nhttp: %q", process.Loopback(n.monitor)),
		"store_dir: /data":  fmt.Sprintf("store_dir: %q", store),
	} {
		if strings.Count(shipped, old) != 1 {
			return "", fmt.Errorf("the shipped NATS configuration does not say %q once", old)
		}
		shipped = strings.Replace(shipped, old, text, 1)
	}
	if len(w.nodes) == 1 {
		return shipped, nil
	}
	var routes []string
	for j := range w.nodes {
		if i != j {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+w.routes[[2]int{i, j}].Address()))
		}
	}
	// What nodes tell each other of a third leads nowhere, so that every route
	// goes through its proxy; clients are told of no other node for the same
	// reason.
	return shipped + fmt.Sprintf("\ncluster {\n name: chaos\n listen: %q\n advertise: \"127.0.0.1:9\"\n no_advertise: true\n routes: [%s]\n}\n",
		process.Loopback(n.root), strings.Join(routes, ", ")), nil
}

// clientProxies opens a proxy to each node, for one client.
func (w *world) clientProxies() ([]*proxy.Proxy, error) {
	var proxies []*proxy.Proxy
	for _, n := range w.nodes {
		p, err := w.through(process.Loopback(n.port))
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, p)
	}
	return proxies, nil
}

// natsURL is the URL of all nodes, through proxies.
func natsURL(addresses ...string) string {
	urls := make([]string, len(addresses))
	for i, address := range addresses {
		urls[i] = fmt.Sprintf("nats://%s:%s@%s", natsUser, natsPassword, address)
	}
	return strings.Join(urls, ",")
}

// natsURLOf is the URL of all nodes through one client's proxies.
func natsURLOf(proxies []*proxy.Proxy) string {
	var addresses []string
	for _, p := range proxies {
		addresses = append(addresses, p.Address())
	}
	return natsURL(addresses...)
}

// connect opens a connection of the harness, directly or through proxies.
func (w *world) connect(url string) (jetstream.JetStream, error) {
	nc, err := w.dial(url)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return js, nil
}

func (w *world) dial(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // its default prints every cut
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	w.closers = append(w.closers, nc.Close)
	return nc, nil
}

// direct is the URL of all nodes without proxies.
func (w *world) direct() string {
	var addresses []string
	for _, n := range w.nodes {
		addresses = append(addresses, process.Loopback(n.port))
	}
	return natsURL(addresses...)
}

// startEngine starts ClickHouse and waits until it answers.
func (w *world) startEngine(ctx context.Context) error {
	data := filepath.Join(w.dir, "clickhouse")
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = process.Port(); err != nil {
			return err
		}
	}
	w.toEngine = process.Loopback(ports[1])
	w.engine = process.New(process.Spec{
		Name: "clickhouse", Path: w.drawdown, Log: w.logOf("clickhouse"),
		Args: []string{"clickhouse", "--data", data, "--clickhouse-http-port", fmt.Sprint(ports[0]), "--clickhouse-native-port", fmt.Sprint(ports[1])},
	})
	if err := w.engine.Start(); err != nil {
		return err
	}
	return w.eventually(ctx, "ClickHouse answers", w.engineAnswers)
}

// engineAnswers reads where the engine is and asks it something.
func (w *world) engineAnswers() bool {
	text, err := os.ReadFile(filepath.Join(w.dir, "clickhouse", "endpoints.json"))
	if err != nil {
		return false
	}
	var e endpoints
	if json.Unmarshal(text, &e) != nil {
		return false
	}
	w.mu.Lock()
	w.engineIn = e
	w.mu.Unlock()
	answer, err := http.Post(e.SQL, "text/plain", strings.NewReader("SELECT 1"))
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // its content does not matter
	return answer.StatusCode == http.StatusOK
}

// eventually waits until something is true.
func (w *world) eventually(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s: %w\n%s", startMax, what, ctx.Err(), w.tails())
		case <-time.After(poll):
		}
	}
	return nil
}

// healthy reports whether a node says so of itself.
func (n *node) healthy() bool {
	return answers(fmt.Sprintf("http://%s/healthz", process.Loopback(n.monitor)))
}

func answers(url string) bool {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // its content does not matter
	return answer.StatusCode == http.StatusOK
}

func (w *world) logOf(name string) string { return filepath.Join(w.dir, name+".log") }

// tails returns the last lines of every program's output.
func (w *world) tails() string {
	var b strings.Builder
	tail := func(p *process.Process) {
		if p != nil {
			fmt.Fprintf(&b, "== %s\n%s\n", p.Name(), p.Tail(12))
		}
	}
	for _, n := range w.nodes {
		tail(n.Process)
	}
	tail(w.engine)
	for _, s := range w.services {
		tail(s.Process)
	}
	return b.String()
}
