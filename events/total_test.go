package events_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawdown-credits/drawdown/events"
)

func total(s string) events.Total {
	parsed, err := events.ParseTotal(s)
	if err != nil {
		panic(err)
	}
	return parsed
}

func TestTotalsAreDecimals(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "0.0": "0", "12.50": "12.5", "0.000000000001": "0.000000000001", "7.000000000010": "7.00000000001",
		"18446744073709551615.999999999999": "18446744073709551615.999999999999",
	} {
		if got, err := events.ParseTotal(in); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1.0000000000001", "18446744073709551616", "1.+5", "1.2.3"} {
		if got, err := events.ParseTotal(in); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%q: got %s, %v; want ErrInvalid", in, got, err)
		}
	}
}

func TestTotalsEndInAnError(t *testing.T) {
	most, one := total("18446744073709551615.999999999999"), events.MustQuantity("0.000000000001")
	if got, err := most.Add(one.Total()); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("beyond the most: %s, %v", got, err)
	}
	if got, err := total("0").Sub(one.Total()); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("below 0: %s, %v", got, err)
	}
}

func TestATotalIsMadeOfItsFraction(t *testing.T) {
	for _, text := range []string{"0", "12.5", "18446744073709551615.999999999999"} {
		if got, err := events.NewTotal(total(text).Fraction()); err != nil || got != total(text) {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	if got, err := events.NewTotal(1, 1_000_000_000_000); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a whole unit of parts: got %s, %v; want ErrInvalid", got, err)
	}
}

func TestTotalsAddUpExactly(t *testing.T) {
	quantity := rapid.Custom(func(t *rapid.T) events.Quantity {
		text := rapid.StringMatching(`[0-9]{1,9}(\.[0-9]{1,9})?|0\.[0-9]{12}|[0-9]{6}\.9{12}|9{18}`).Draw(t, "quantity")
		q, err := events.ParseQuantity(text)
		if err != nil {
			t.Fatal(err)
		}
		return q
	})
	rapid.Check(t, func(t *rapid.T) {
		var sum events.Total
		var err error
		exact := new(big.Rat)
		quantities := rapid.SliceOfN(quantity, 1, 18).Draw(t, "quantities")
		for _, q := range quantities {
			before := sum
			if sum, err = sum.Add(q.Total()); err != nil {
				t.Fatal(err)
			}
			if exact.Add(exact, q.Rat()); sum.Rat().Cmp(exact) != 0 {
				t.Fatalf("%s + %s: got %s, want %s", before, q, sum, exact)
			}
			if got := sum.Compare(before); got != exact.Cmp(before.Rat()) || before.Compare(sum) != -got {
				t.Fatalf("%s against %s: %d", sum, before, got)
			}
			if again := total(sum.String()); again != sum {
				t.Fatalf("%s reads as %s", sum, again)
			}
		}
		for _, q := range quantities {
			if sum, err = sum.Sub(q.Total()); err != nil {
				t.Fatal(err)
			}
		}
		if !sum.IsZero() {
			t.Fatalf("%s is left", sum)
		}
	})
}
