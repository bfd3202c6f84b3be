package stream

import (
	"testing"
	"testing/synctest"
)

func TestABacklogOfLargeMessagesIsNotBuffered(t *testing.T) {
	for name, c := range map[string]struct{ size, count, want int }{
		"small messages fill the buffer":        {size: 100, count: 2 * readerBuffer, want: readerBuffer},
		"large messages fill it with fewer":     {size: 3 << 20, count: 10, want: 2},
		"messages that just fit are all there":  {size: readerBytes / 4, count: 10, want: 4},
		"a message larger than all waits alone": {size: readerBytes + 1, count: 3, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := delivery{messages: make(chan Message, readerBuffer)}
				go func() {
					body := make([]byte, c.size)
					for i := range c.count {
						d.deliver(t.Context(), false, Message{Sequence: uint64(i + 1), Data: body})
					}
				}()
				reader := NewReader(d.messages, func() {})
				for i := range c.count {
					synctest.Wait()
					if waiting := len(d.messages); i == 0 && waiting != c.want || waiting > c.want {
						t.Fatalf("%d messages wait; want %d", waiting, c.want)
					}
					if m, err := reader.Next(t.Context()); err != nil || m.Sequence != uint64(i+1) {
						t.Fatalf("message %d: %d, %v", i+1, m.Sequence, err)
					}
				}
			})
		})
	}
}
