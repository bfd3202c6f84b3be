package lease

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// assign says which instance is to have each partition of a service: rendezvous
// hashing, bounded so that no instance has more than one partition more than
// another. It depends on the set of instances alone.
func assign(service string, partitions int, instances []string) []string {
	owners := make([]string, partitions)
	if len(instances) == 0 {
		return owners
	}
	type pair struct {
		weight    uint64
		partition int
		instance  string
	}
	pairs := make([]pair, 0, partitions*len(instances))
	for p := range partitions {
		for _, i := range instances {
			pairs = append(pairs, pair{weigh(service, p, i), p, i})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.partition, b.partition), cmp.Compare(a.instance, b.instance))
	})
	least, extra := partitions/len(instances), partitions%len(instances)
	count := map[string]int{}
	for _, pair := range pairs {
		had := count[pair.instance]
		if owners[pair.partition] != "" || had > least || had == least && extra == 0 {
			continue
		}
		if had == least {
			extra--
		}
		owners[pair.partition] = pair.instance
		count[pair.instance]++
	}
	return owners
}

// weigh spreads what FNV leaves close together: names differ in their last
// bytes.
func weigh(service string, partition int, instance string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(service + "\x00" + instance + "\x00" + strconv.Itoa(partition)))
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
