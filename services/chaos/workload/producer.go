package workload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drawdown-credits/drawdown/services/chaos/journal"
)

const (
	publishTimeout = 5 * time.Second
	postTimeout    = 20 * time.Second
	retryDelay     = 200 * time.Millisecond
)

// Counts of what producers saw.
type Counts struct {
	Messages, Retries, Posts, Refused atomic.Int64
}

// Producer sends the messages of a generator until its quota of events is
// sent. What is not acknowledged is sent again, as it is, until it is.
type Producer struct {
	Generator *Generator
	Quota     int
	Window    int // messages that may be unacknowledged
	Gate      *Gate
	Journal   *journal.Writer
	Counts    *Counts

	JetStream jetstream.JetStream // unless the role is Posts
	Gateway   *Gateway            // if it is

	mu       sync.Mutex
	inFlight map[int]chan struct{} // by message; closed when it is stored
}

// Run sends until the quota is reached and all of it is acknowledged.
func (p *Producer) Run(ctx context.Context) error {
	p.inFlight = map[int]chan struct{}{}
	window := make(chan struct{}, p.Window)
	var flying sync.WaitGroup
	defer flying.Wait()
	for sent := 0; sent < p.Quota; {
		m := p.Generator.Next()
		if err := p.Gate.Pass(ctx, len(m.Items)); err != nil {
			return err
		}
		sent += len(m.Items)
		if err := p.await(ctx, m.Await); err != nil {
			return err
		}
		p.write(m)
		copies := 1
		if m.Twice {
			copies = 2
		}
		stored := p.track(m.Index)
		var left atomic.Int32
		left.Store(int32(copies))
		for range copies {
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			flying.Go(func() {
				p.send(ctx, m)
				<-window
				if left.Add(-1) == 0 {
					p.landed(m.Index, stored)
				}
			})
		}
	}
	return nil
}

func (p *Producer) track(message int) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight[message] = make(chan struct{})
	return p.inFlight[message]
}

func (p *Producer) landed(message int, stored chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inFlight, message)
	close(stored)
}

// await waits until messages are stored.
func (p *Producer) await(ctx context.Context, messages []int) error {
	for _, message := range messages {
		p.mu.Lock()
		stored, flying := p.inFlight[message]
		p.mu.Unlock()
		if !flying {
			continue
		}
		select {
		case <-stored:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write notes in the journal what is about to be sent.
func (p *Producer) write(m *Message) {
	records := make([]any, 0, len(m.Events)+len(m.Bad)+1)
	for _, e := range m.Events {
		records = append(records, e)
	}
	for _, b := range m.Bad {
		records = append(records, b)
	}
	records = append(records, journal.Message{
		Producer: p.Generator.producer, Hash: journal.HashOf(m.Body), Subject: m.Subject, Items: m.Items,
	})
	p.Journal.Write(records...)
}

// send sends m until it is acknowledged, or ctx ends.
func (p *Producer) send(ctx context.Context, m *Message) {
	p.Counts.Messages.Add(1)
	for ctx.Err() == nil {
		done := false
		if p.Gateway != nil {
			done = p.post(ctx, m)
		} else {
			done = p.publish(ctx, m)
		}
		if done {
			return
		}
		p.Counts.Retries.Add(1)
		Pause(ctx, retryDelay)
	}
}

func (p *Producer) publish(ctx context.Context, m *Message) bool {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	msg := nats.NewMsg(m.Subject)
	msg.Data = m.Body
	for name, value := range m.Header {
		msg.Header[name] = []string{value} // as written: Set would change the case
	}
	ack, err := p.JetStream.PublishMsg(ctx, msg)
	if err != nil {
		return false
	}
	p.Journal.Write(journal.Ack{Hash: journal.HashOf(m.Body), Sequence: ack.Sequence})
	return true
}

func (p *Producer) post(ctx context.Context, m *Message) bool {
	status, _, err := p.Gateway.Do(ctx, http.MethodPost, "/v1/events", m.Header, m.Body)
	if err != nil || status >= 500 {
		return false
	}
	valid := len(m.Bad) == 0
	if valid && status != http.StatusAccepted {
		p.Counts.Refused.Add(1) // by a gateway whose clock is wrong
		return false
	}
	post := journal.Post{Producer: p.Generator.producer, Status: status}
	for _, item := range m.Items {
		post.Numbers = append(post.Numbers, item.Number)
	}
	p.Counts.Posts.Add(1)
	p.Journal.Write(post)
	return true
}

// Pause waits, unless ctx ends first.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Gateway is where HTTP requests go: one instance after the other.
type Gateway struct {
	URLs   []string
	Key    string
	Client *http.Client

	turn atomic.Uint64
}

// Do makes one request and returns the status and the body of its answer.
func (g *Gateway) Do(ctx context.Context, method, path string, header map[string]string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	url := g.URLs[g.turn.Add(1)%uint64(len(g.URLs))]
	request, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+g.Key)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	answer, err := g.Client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}
