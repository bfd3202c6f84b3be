package condition

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // for machines without zones

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// accessors are CEL's functions of a time in a zone, by name.
var accessors = map[string]string{
	overloads.TimeGetFullYear:     overloads.TimestampToYearWithTz,
	overloads.TimeGetMonth:        overloads.TimestampToMonthWithTz,
	overloads.TimeGetDayOfYear:    overloads.TimestampToDayOfYearWithTz,
	overloads.TimeGetDayOfMonth:   overloads.TimestampToDayOfMonthZeroBasedWithTz,
	overloads.TimeGetDate:         overloads.TimestampToDayOfMonthOneBasedWithTz,
	overloads.TimeGetDayOfWeek:    overloads.TimestampToDayOfWeekWithTz,
	overloads.TimeGetHours:        overloads.TimestampToHoursWithTz,
	overloads.TimeGetMinutes:      overloads.TimestampToMinutesWithTz,
	overloads.TimeGetSeconds:      overloads.TimestampToSecondsWithTz,
	overloads.TimeGetMilliseconds: overloads.TimestampToMillisecondsWithTz,
}

// inZones has the accessors look a named zone up where CEL would read its file
// each time.
func inZones() (options []cel.EnvOption) {
	for name, overload := range accessors {
		options = append(options, cel.Function(name, cel.MemberOverload(overload,
			[]*cel.Type{cel.TimestampType, cel.StringType}, cel.IntType,
			cel.BinaryBinding(func(at, zone ref.Val) ref.Val { return access(name, at.(types.Timestamp), zone) }))))
	}
	return options
}

// access returns what the accessor of that name says of a time in a zone: a name
// such as Europe/Berlin or an offset such as +05:30.
func access(accessor string, at types.Timestamp, zone ref.Val) ref.Val {
	name, ok := zone.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(zone)
	}
	if strings.Contains(string(name), ":") {
		return at.Receive(accessor, accessors[accessor], []ref.Val{zone})
	}
	location, err := zones.load(string(name))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Timestamp{Time: at.In(location)}.Receive(accessor, "", nil)
}

// zonesMax bounds the zones that are kept: more than have names, but an event
// may spell one in endless ways.
const zonesMax = 2048

// zones are those that a condition has named, because each is read from a file.
var zones zoneCache

type zoneCache struct {
	lock   sync.RWMutex
	byName map[string]*time.Location
}

// load returns the zone of that name. The machine's own zone has none: a
// condition says the same on every machine.
func (z *zoneCache) load(name string) (*time.Location, error) {
	z.lock.RLock()
	location := z.byName[name]
	z.lock.RUnlock()
	if location != nil {
		return location, nil
	}
	location, err := time.LoadLocation(name)
	if err != nil || location == time.Local {
		return nil, fmt.Errorf("unknown time zone %.64q", name)
	}
	z.lock.Lock()
	defer z.lock.Unlock()
	z.keep(strings.Clone(name), location)
	return location, nil
}

// keep keeps a zone while there is room.
func (z *zoneCache) keep(name string, location *time.Location) {
	if z.byName == nil {
		z.byName = map[string]*time.Location{}
	}
	if len(z.byName) < zonesMax {
		z.byName[name] = location
	}
}
