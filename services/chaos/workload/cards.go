package workload

import (
	"fmt"
	"time"
)

// Operations that the rate cards price, and one that they do not. What the
// quantities of an event are depends on its operation.
const (
	Chat   = "POST /v1/chat"         // tokens_in, tokens_out
	Files  = "GET /files/report.pdf" // bytes_out
	Search = "GET /search"           // priced by how many there are in the billing period
	Render = "POST /v1/render"       // units, priced by their volume in the billing period
	Odd    = "POST /v1/odd"          // units, priced so that charges must be rounded
	Brew   = "BREW /coffee"          // which nothing prices
)

// repriced is how long before the start of a run the second card comes into
// force, by the events' own time.
const repriced = time.Hour

// Cards returns two versions of the rate card, as JSON. The second is in force
// for events from repriced before the start, so that out-of-order events are
// priced by either.
func Cards(start time.Time) []string {
	const card = `{"card":"default","effective_from":%q,"rounding":"half_up","rules":[
 {"name":"broken","match":{"status":"5xx"},"price":{"flat":"0"}},
 {"name":"chat","match":{"operation":"POST /v1/chat"},"price":{"flat":"%s","min":"0.02","per_unit":[
  {"quantity":"tokens_in","price":"0.15","per":"1000"},{"quantity":"tokens_out","price":"%s","per":"1000"}]}},
 {"name":"files","match":{"operation":"GET /files/**"},"price":{"package":{"quantity":"bytes_out","size":"1048576","price":"1"}}},
 {"name":"search","match":{"operation":"GET /search"},"price":{"graduated":{"quantity":"requests","tiers":[{"up_to":"20","price":"%s"},{"up_to":"200","price":"0.03"},{"price":"0.01"}]}}},
 {"name":"render-eu","match":{"operation":"POST /v1/render","when":"attributes['region'] == 'eu' && quantities['units'] > 500.0"},"price":{
  "matrix":{"by":["region"],"quantity":"units","per":"1000","cells":[{"values":["eu"],"price":"0.7"}]},"max":"0.5"}},
 {"name":"render","match":{"operation":"POST /v1/render"},"price":{"volume":{"quantity":"units","tiers":[{"up_to":"5000","price":"0.0001"},{"price":"0.00005"}]},
  "multiply":[{"when":"project == 'p1'","by":"2"}]}},
 {"name":"odd","match":{"operation":"POST /v1/odd"},"price":{"per_unit":[{"quantity":"units","price":"0.0000007","per":"3"}]}}]}`
	return []string{
		fmt.Sprintf(card, "2020-01-01T00:00:00Z", "0.01", "0.60", "0.05"),
		fmt.Sprintf(card, start.Add(-repriced).UTC().Format(time.RFC3339), "0.012", "0.55", "0.04"),
	}
}
