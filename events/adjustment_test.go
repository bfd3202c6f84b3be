package events_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/drawdown-credits/drawdown/events"
)

func TestAnAdjustmentSaysWhatIsWrongWithIt(t *testing.T) {
	most := events.MaxCredits
	for name, tt := range map[string]struct {
		adjustment events.Adjustment
		path       string // "" for none
	}{
		"one that grants":                  {events.Adjustment{ID: "a:1.b", Amount: 1, Reason: "r"}, ""},
		"one that charges":                 {events.Adjustment{ID: "a", Amount: -1, Reason: "r"}, ""},
		"the largest amounts and texts":    {events.Adjustment{ID: strings.Repeat("a", 120), Amount: -most, Reason: strings.Repeat("r", 512)}, ""},
		"no id":                            {events.Adjustment{Amount: 1, Reason: "r"}, "/id"},
		"an id one too long":               {events.Adjustment{ID: strings.Repeat("a", 121), Amount: 1, Reason: "r"}, "/id"},
		"an id with a slash":               {events.Adjustment{ID: "a/b", Amount: 1, Reason: "r"}, "/id"},
		"an amount of 0":                   {events.Adjustment{ID: "a", Reason: "r"}, "/amount"},
		"an amount one above the most":     {events.Adjustment{ID: "a", Amount: most + 1, Reason: "r"}, "/amount"},
		"an amount one beyond it below 0":  {events.Adjustment{ID: "a", Amount: -most - 1, Reason: "r"}, "/amount"},
		"no reason":                        {events.Adjustment{ID: "a", Amount: 1}, "/reason"},
		"a reason one byte too long":       {events.Adjustment{ID: "a", Amount: 1, Reason: strings.Repeat("r", 513)}, "/reason"},
		"a reason that is not valid UTF-8": {events.Adjustment{ID: "a", Amount: 1, Reason: "\xff"}, "/reason"},
	} {
		err := tt.adjustment.Validate()
		var p *events.Problem
		switch {
		case tt.path == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.path != "" && (!errors.As(err, &p) || p.Path != tt.path || !errors.Is(err, events.ErrInvalid)):
			t.Errorf("%s: %v; want a problem at %s", name, err, tt.path)
		}
	}
	if id := (&events.Adjustment{ID: strings.Repeat("a", 120)}).Grant(); !events.ValidGrantID(id) {
		t.Errorf("the grant of an adjustment has the id %s", id)
	}
}
