package events

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Validate returns nil when u may be published, and otherwise a *Problem that
// lists what is wrong. Paths point into the structured CloudEvent.
func (u Usage) Validate() error {
	var f faults
	u.check(&f)
	if p := f.problem(); p != nil {
		return p
	}
	return nil
}

// CheckTime returns a problem when u happened more than maxAhead after now, and
// nil otherwise.
func CheckTime(u Usage, now time.Time, maxAhead time.Duration) *Problem {
	if limit := now.Add(maxAhead); u.Time.After(limit) {
		return problem(CodeFuture, pathTime, "%s lies too far in the future; expected at most %s",
			u.Time.Format(time.RFC3339Nano), limit.UTC().Format(time.RFC3339))
	}
	return nil
}

// CheckAge returns a problem when u happened more than horizon before it was
// stored, and nil otherwise: its id is not remembered that long. A backfill may
// be older, if the check it names began at most horizon before it was stored,
// and at most maxAhead after, by clocks that differ.
func CheckAge(u Usage, stored time.Time, horizon, maxAhead time.Duration) *Problem {
	if stored.Sub(u.Time) <= horizon {
		return nil
	}
	if u.Backfill.IsZero() {
		return problem(CodeTooLate, pathTime, "%s lies more than the dedup horizon of %s before %s, when the event was stored; to charge it all the same, import it as a backfill",
			u.Time.Format(time.RFC3339Nano), horizon, stored.UTC().Format(time.RFC3339Nano))
	}
	if age := stored.Sub(u.Backfill); age > horizon || age < -maxAhead {
		return problem(CodeTooLate, pathBackfill, "the check of %s lies outside the dedup horizon of %s before %s, when the event was stored; import it again",
			u.Backfill.Format(time.RFC3339Nano), horizon, stored.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// JSON pointers to the parts of a structured usage event.
const (
	pathSpecVersion     = "/specversion"
	pathType            = "/type"
	pathID              = "/id"
	pathSource          = "/source"
	pathSubject         = "/subject"
	pathTime            = "/time"
	pathBackfill        = "/" + attributeBackfill
	pathDataContentType = "/datacontenttype"
	pathData            = "/data"
	pathDataBase64      = "/data_base64"
)

func (u Usage) check(f *faults) {
	checkText(f, pathID, u.ID, MaxIDBytes, true)
	checkSource(f, u.Source)
	if !ValidAccount(u.Account) {
		switch u.Account {
		case "":
			f.add(CodeMissing, pathSubject, "the account is absent; expected 1 to 64 of A–Z a–z 0–9 _ -")
		default:
			f.add(CodeInvalid, pathSubject, "found %s; expected an account: 1 to 64 of A–Z a–z 0–9 _ -", clip(u.Account))
		}
	}
	if u.Time.IsZero() {
		f.add(CodeMissing, pathTime, "the time is absent; expected when the call happened, in RFC 3339")
	} else if year := u.Time.UTC().Year(); year < 1970 || year > 9999 {
		f.add(CodeInvalid, pathTime, "found the year %d; expected 1970 to 9999", year)
	}
	if year := u.Backfill.UTC().Year(); !u.Backfill.IsZero() && (year < 1970 || year > 9999) {
		f.add(CodeInvalid, pathBackfill, "found the year %d; expected 1970 to 9999", year)
	}
	u.Data.check(f, pathData)
}

func (d *UsageData) check(f *faults, path string) {
	// Paths are joined only for a fault: valid data costs no allocation.
	if !plainText(d.Operation, MaxStringBytes) || d.Operation == "" {
		checkText(f, path+"/operation", d.Operation, MaxStringBytes, true)
	}
	if !plainText(d.Project, MaxStringBytes) {
		checkText(f, path+"/project", d.Project, MaxStringBytes, false)
	}
	if !plainText(d.Key, MaxStringBytes) {
		checkText(f, path+"/key", d.Key, MaxStringBytes, false)
	}
	if d.Status != 0 && (d.Status < 100 || d.Status > 599) {
		f.add(CodeInvalid, path+"/status", "found %d; expected 100 to 599", d.Status)
	}
	if len(d.Quantities) > MaxQuantities {
		f.add(CodeInvalid, path+"/quantities", "found %d quantities; expected at most %d", len(d.Quantities), MaxQuantities)
	} else {
		checkNames(f, path+"/quantities", d.Quantities)
	}
	if len(d.Attributes) > MaxAttributes {
		f.add(CodeInvalid, path+"/attributes", "found %d attributes; expected at most %d", len(d.Attributes), MaxAttributes)
		return
	}
	checkNames(f, path+"/attributes", d.Attributes)
	for _, name := range sortedBad(d.Attributes, func(_, value string) bool { return !plainText(value, MaxStringBytes) }) {
		checkText(f, path+"/attributes/"+escapePointer(name), d.Attributes[name], MaxStringBytes, false)
	}
}

func checkNames[V any](f *faults, path string, values map[string]V) {
	for _, name := range sortedBad(values, func(name string, _ V) bool { return !validName(name) }) {
		f.add(CodeInvalid, path+"/"+escapePointer(name), "found the name %s; expected a letter or _ and then at most %d of A–Z a–z 0–9 _ . -",
			clip(name), MaxNameBytes-1)
	}
}

// sortedBad returns the names of the values that bad picks, sorted, so that the
// same input is answered alike each time.
func sortedBad[V any](values map[string]V, bad func(string, V) bool) []string {
	var names []string
	for name, value := range values {
		if bad(name, value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkText finds why s is not plain text, if it is not.
func checkText(f *faults, path, s string, maxLen int, required bool) {
	switch {
	case s == "" && required:
		f.add(CodeMissing, path, "absent or empty; expected text of 1 to %d bytes", maxLen)
	case len(s) > maxLen:
		f.add(CodeInvalid, path, "found %d bytes; expected at most %d", len(s), maxLen)
	case !utf8.ValidString(s):
		f.add(CodeMalformed, path, "found %s; expected valid UTF-8", clip(s))
	case !plainText(s, maxLen):
		f.add(CodeInvalid, path, "found %s; expected no control characters or noncharacters", clip(s))
	}
}

func checkSource(f *faults, source string) {
	if before := len(*f); !uriCharacters(source) || source == "" {
		checkText(f, pathSource, source, MaxSourceBytes, true)
		if len(*f) == before {
			f.add(CodeInvalid, pathSource, "found %s; expected a URI reference (percent-encode what a URI may not hold)", clip(source))
		}
		return
	}
	if len(source) > MaxSourceBytes {
		f.add(CodeInvalid, pathSource, "found %d bytes; expected at most %d", len(source), MaxSourceBytes)
		return
	}
	if !strings.ContainsAny(source, ":%[]") {
		return // a path, query and fragment of URI characters always parses
	}
	if _, err := url.Parse(source); err != nil {
		f.add(CodeInvalid, pathSource, "found %s; expected a URI reference", clip(source))
	}
}

// uriCharacters reports whether s holds only characters that RFC 3986 allows
// and at most one fragment.
func uriCharacters(s string) bool {
	fragments := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return false
			}
		case c == '#':
			fragments++
		case strings.IndexByte("-._~:/?[]@!$&'()*+,;=", c) < 0:
			return false
		}
	}
	return fragments <= 1
}

// plainText reports whether s is at most maxLen bytes of UTF-8 without control
// characters and noncharacters.
func plainText(s string, maxLen int) bool {
	if len(s) > maxLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return plainRunes(s[i:])
		}
	}
	return true
}

func plainRunes(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r&0xfffe == 0xfffe || (r >= 0xfdd0 && r <= 0xfdef) {
			return false
		}
	}
	return true
}

// validName reports whether s may name a quantity or attribute.
func validName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' || s[0] == '-' || s[0] == '.' {
		return false
	}
	return validToken(s, MaxNameBytes, "_.-")
}

// escapePointer escapes one name for a JSON pointer, shortened to a bound.
func escapePointer(name string) string {
	if len(name) > MaxNameBytes {
		name = strings.ToValidUTF8(name[:MaxNameBytes], "") + "…"
	}
	return pointerEscapes.Replace(name)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
