package oracle

import (
	"crypto/sha256"
	"strconv"
)

// letters is what is stored in DEADLETTER.
type letters struct {
	*Oracle
	through uint64
	count   int
}

func newLetters(o *Oracle) *letters { return &letters{Oracle: o} }

func (l *letters) take(m message) error {
	l.count++
	header := func(name string) string {
		if values := m.header[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	sequence, err := strconv.ParseUint(header("Drawdown-Sequence"), 10, 64)
	if err != nil {
		l.final.add("dead letter of nothing", "DEADLETTER %d names no sequence", m.sequence)
		return nil
	}
	index, err := strconv.Atoi(header("Drawdown-Index"))
	if err != nil {
		l.final.add("dead letter of nothing", "DEADLETTER %d names no index", m.sequence)
		return nil
	}
	r := l.usage.refusals[place{sequence, index}]
	if r == nil {
		l.final.add("dead letter of a good event", "DEADLETTER %d: USAGE %d.%d: %s: %s", m.sequence, sequence, index, header("Drawdown-Reason"), header("Drawdown-Detail"))
		return nil
	}
	r.letters++
	switch {
	case r.letters > 1:
		l.final.add("dead letter twice", "USAGE %d.%d (%s)", sequence, index, r.reason)
	case header("Drawdown-Reason") != r.reason:
		l.final.add("dead letter with another reason", "USAGE %d.%d: %s (%s); expected %s", sequence, index, header("Drawdown-Reason"), header("Drawdown-Detail"), r.reason)
	case header("Drawdown-Subject") != r.subject:
		l.final.add("dead letter with another subject", "USAGE %d.%d: %s; expected %s", sequence, index, header("Drawdown-Subject"), r.subject)
	case sha256.Sum256(m.data) != r.body:
		l.final.add("dead letter with other bytes", "USAGE %d.%d (%s): %d bytes", sequence, index, r.reason, len(m.data))
	}
	return nil
}

func (l *letters) compare(r *Report) {
	r.DeadLetters = l.count
	r.Refused = len(l.usage.refusals)
	for at, refusal := range l.usage.refusals {
		if refusal.letters == 0 {
			r.Differences.add("dead letter missing", "USAGE %d.%d (%s)", at.sequence, at.index, refusal.reason)
		}
	}
}
