// Package cloudevent converts usage events to and from the events of the
// CloudEvents Go SDK, for programs that already speak it. The codec in package
// events does not need the SDK, and neither do programs that emit usage.
//
// The SDK trims spaces around an id, and in binary mode neither encodes nor
// decodes the percent-encoding of headers: keep ids free of surrounding spaces,
// and ids and sources of percent signs, where it sends or receives.
package cloudevent

import (
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/drawdown-credits/drawdown/events"
)

// FromUsage returns u as an event of the SDK. Its error is the *events.Problem
// of an event that is not valid.
func FromUsage(u events.Usage) (event.Event, error) {
	body, err := events.AppendStructured(nil, u)
	if err != nil {
		return event.Event{}, err
	}
	var e event.Event
	if err := e.UnmarshalJSON(body); err != nil {
		return event.Event{}, fmt.Errorf("read usage event %s as CloudEvent: %w", u.ID, err)
	}
	return e, nil
}

// ToUsage returns the usage event that e is. Its error matches
// events.ErrInvalid when e is none.
func ToUsage(e event.Event) (events.Usage, error) {
	body, err := e.MarshalJSON()
	if err != nil {
		return events.Usage{}, fmt.Errorf("encode CloudEvent %s: %w: %w", e.ID(), events.ErrInvalid, err)
	}
	item := events.DecodeEvent(body)
	if item.Err != nil {
		return events.Usage{}, fmt.Errorf("read CloudEvent %s as usage event: %w", e.ID(), item.Err)
	}
	return item.Usage, nil
}
