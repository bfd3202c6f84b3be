package balances

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/drawdown-credits/drawdown/events"
)

// catalogOwner is the partition, of n, that writes a key of the catalog.
func catalogOwner(key string, n int) int {
	if account, ok := strings.CutPrefix(key, events.CatalogAccount); ok {
		return events.Partition(account, n)
	}
	return broadcaster
}

// catalogPuts encodes what the fold says under keys of the catalog.
func (f *fold) catalogPuts(keys []string) ([]put, error) {
	var puts []put
	for _, key := range keys {
		content, ok := f.content(key)
		if !ok {
			continue
		}
		value, err := json.Marshal(content, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode %s of the catalog: %w", key, err)
		}
		puts = append(puts, put{key: key, value: value, place: f.places[key]})
	}
	return puts, nil
}

// content is what the fold says under a key of the catalog.
func (f *fold) content(key string) (any, bool) {
	if account, ok := strings.CutPrefix(key, events.CatalogAccount); ok {
		return first(f.state.Account(account))
	}
	if plan, ok := strings.CutPrefix(key, events.CatalogPlan); ok {
		return first(f.state.Plan(plan))
	}
	card, version, _ := strings.Cut(strings.TrimPrefix(key, events.CatalogRateCard), ".")
	number, err := strconv.Atoi(version)
	if err != nil {
		return nil, false
	}
	return first(f.state.RateCard(card, number))
}

func first[T any](value T, ok bool) (any, bool) { return value, ok }
