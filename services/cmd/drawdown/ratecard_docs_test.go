package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what docs/ratecards.md shows for its cards")

// TestTheGuideToRateCardsShowsWhatItsCardsCost runs every card of the guide; the
// block behind a card is what `ratecard test` prints for it.
func TestTheGuideToRateCardsShowsWhatItsCardsCost(t *testing.T) {
	const guide = "../../../docs/ratecards.md"
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	const beginCard, beginOutput, end = "```yaml\n", "```text\n", "```\n"
	var rewritten strings.Builder
	cards := 0
	rest := string(text)
	for {
		before, behind, found := strings.Cut(rest, beginCard)
		rewritten.WriteString(before)
		if !found {
			break
		}
		card, behind, _ := strings.Cut(behind, end)
		between, behind, _ := strings.Cut(behind, beginOutput)
		shown, behind, _ := strings.Cut(behind, end)
		printed, err := testCard(t, card, "text")
		if err != nil {
			t.Errorf("the card\n%s\nfails: %v\n%s", card, err, printed)
		}
		if printed != shown && !*update {
			t.Errorf("the card\n%s\ncosts\n%s\nnot\n%s", card, printed, shown)
		}
		rewritten.WriteString(beginCard + card + end + between + beginOutput + printed + end)
		rest = behind
		cards++
	}
	if cards < 8 {
		t.Errorf("found %d cards; expected one for each kind of price", cards)
	}
	if *update {
		if err := os.WriteFile(guide, []byte(rewritten.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
