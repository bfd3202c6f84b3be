package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drawdown-credits/drawdown/events"
	"github.com/drawdown-credits/drawdown/services/internal/stream"
)

// Bucket is the name of the stream under bucket LEASES.
var Bucket = stream.BucketLog(events.BucketLeases)

const (
	memberPrefix = "member."
	leasePrefix  = "lease."

	headerTTL    = "Nats-TTL"
	headerMarker = "Nats-Marker-Reason"

	// goneTTL is how long the bucket says that a key was given up.
	goneTTL = "60s"
)

// Member is the value of an instance's key, which it has for each service.
type Member struct {
	Instance string `json:"instance"`
	// Run tells the processes apart that were this instance one after the other.
	Run   string    `json:"run"`
	Since time.Time `json:"since"`
}

// Lease is the value of a partition's key.
type Lease struct {
	Member
	Report Report `json:"report"`
}

// subject is that of a key of the bucket.
func subject(key string) string { return stream.BucketSubject(events.BucketLeases, key) }

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CheckInstance refuses what cannot be the id of an instance.
func CheckInstance(id string) error {
	if !instanceName.MatchString(id) {
		return fmt.Errorf("the instance is %q; expected 1 to 64 of A-Z a-z 0-9 _ -", id)
	}
	return nil
}

func memberKey(service, instance string) string {
	return subject(memberPrefix + service + "." + instance)
}

// Key is the subject of a partition's lease.
func Key(service string, partition int) string {
	return subject(leasePrefix + service + "." + strconv.Itoa(partition))
}

// put returns the append that writes a key which lives for ttl.
func put(key string, fence uint64, value any, ttl time.Duration) stream.Append {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("lease: encode %T: %v", value, err)) // strings, numbers and times
	}
	return stream.Append{
		Subject: key, Header: nats.Header{headerTTL: {ttl.String()}}, Data: body,
		Fence: &stream.Fence{Sequence: fence},
	}
}

// remove returns the append that ends a key.
func remove(key string, fence uint64) stream.Append {
	return stream.Append{
		Subject: key, Header: nats.Header{stream.HeaderOperation: {"PURGE"}, headerTTL: {goneTTL}},
		Fence: &stream.Fence{Sequence: fence},
	}
}

// isGone reports whether m says that its key ended or ran out.
func isGone(m stream.Message) bool {
	return m.Deletes() || m.Header.Get(headerMarker) != ""
}

// entry is a key and its value, as read.
type entry struct {
	service   string
	instance  string // of a member's key
	partition int    // of a lease's key; -1 of a member's
	sequence  uint64
	value     Lease // zero when the key is gone
}

// parse reads a message of the bucket; ok is false when the key is not one of
// ours. A value that cannot be read is nobody's.
func parse(m stream.Message) (e entry, ok bool) {
	kind, rest, _ := strings.Cut(stream.BucketKey(events.BucketLeases, m.Subject), ".")
	service, name, ok := strings.Cut(rest, ".")
	if !ok {
		return entry{}, false
	}
	e = entry{service: service, partition: -1, sequence: m.Sequence}
	switch kind + "." {
	case memberPrefix:
		e.instance = name
	case leasePrefix:
		p, err := strconv.Atoi(name)
		if err != nil || p < 0 {
			return entry{}, false
		}
		e.partition = p
	default:
		return entry{}, false
	}
	if isGone(m) || json.Unmarshal(m.Data, &e.value) != nil {
		e.value = Lease{}
	}
	return e, true
}

// Standing is what bucket LEASES holds at one moment.
type Standing struct {
	Members map[string][]Member      // by service
	Leases  map[string]map[int]Lease // by service and partition
}

// Read returns who is there and who has what.
func Read(ctx context.Context, b stream.Broker) (Standing, error) {
	for {
		s := Standing{Members: map[string][]Member{}, Leases: map[string]map[int]Lease{}}
		err := stream.Newest(ctx, b.Log(Bucket), func(m stream.Message) error {
			s.add(m)
			return nil
		})
		if !errors.Is(err, stream.ErrVanished) { // keys run out while they are read
			return s, err
		}
	}
}

func (s *Standing) add(m stream.Message) {
	e, ok := parse(m)
	switch {
	case !ok || e.value.Instance == "":
	case e.partition < 0:
		s.Members[e.service] = append(s.Members[e.service], e.value.Member)
	default:
		if s.Leases[e.service] == nil {
			s.Leases[e.service] = map[int]Lease{}
		}
		s.Leases[e.service][e.partition] = e.value
	}
}
