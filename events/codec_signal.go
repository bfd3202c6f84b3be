package events

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// signalEvent is the structured CloudEvent of a signal.
type signalEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype,omitzero"`
	Data            Signal    `json:"data"`
}

// EncodeSignal encodes s as a structured CloudEvent: the header and body of the
// message on SignalSubject(s.Kind, s.Account). Equal signals give equal bytes.
func EncodeSignal(s Signal) (header map[string][]string, body []byte, err error) {
	event := signalEvent{
		SpecVersion: "1.0", ID: s.ID(), Source: SourceEnforcer, Type: s.Kind.Type(),
		Subject: s.Account, Time: s.At, DataContentType: ContentTypeJSON, Data: s,
	}
	if p := event.check(); p != nil {
		return nil, nil, fmt.Errorf("encode signal: %w", p)
	}
	if body, err = json.Marshal(event, json.Deterministic(true)); err != nil {
		return nil, nil, fmt.Errorf("encode signal: %w", err)
	}
	return map[string][]string{HeaderContentType: {ContentTypeEvent}}, body, nil
}

// DecodeSignal decodes the body of a SIGNALS message. Fields it does not know
// are ignored, so that signals may grow; its error matches ErrInvalid.
func DecodeSignal(body []byte) (Signal, error) {
	var event signalEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return Signal{}, fmt.Errorf("decode signal: %w", jsonProblem(err))
	}
	if p := event.check(); p != nil {
		return Signal{}, fmt.Errorf("decode signal: %w", p)
	}
	return event.Data, nil
}

// check finds where the attributes and the data of a signal disagree.
func (e *signalEvent) check() *Problem {
	s := &e.Data
	switch {
	case e.SpecVersion != "1.0":
		return problem(CodeInvalid, pathSpecVersion, "found %s; expected \"1.0\"", clip(e.SpecVersion))
	case s.Kind == "" || e.Type != s.Kind.Type():
		return problem(CodeUnknownType, pathType, "found %s with data of kind %s", clip(e.Type), clip(string(s.Kind)))
	case !ValidAccount(s.Account) || e.Subject != s.Account:
		return problem(CodeInvalid, pathSubject, "found %s with data of account %s", clip(e.Subject), clip(s.Account))
	case s.Sequence == 0 || e.ID != s.ID():
		return problem(CodeInvalid, pathID, "found %s; expected %s, with a sequence from 1", clip(e.ID), clip(s.ID()))
	case e.Source != SourceEnforcer:
		return problem(CodeInvalid, pathSource, "found %s; expected %q", clip(e.Source), SourceEnforcer)
	case !e.Time.Equal(s.At):
		return problem(CodeInvalid, pathTime, "found %s; expected %s, the data's at", formatTime(e.Time), formatTime(s.At))
	}
	return nil
}
