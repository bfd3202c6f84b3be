package simulated

import "strings"

// matches reports whether a subject is one that pattern names: * stands for one
// token, > for all that follow, at least one.
func matches(pattern, subject string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == ">" {
			return true
		}
		got, subjectRest, subjectMore := strings.Cut(subject, ".")
		if want != "*" && want != got || patternMore != subjectMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, subject = patternRest, subjectRest
	}
}

// matchesAny reports whether one of patterns names subject; none name all.
func matchesAny(patterns []string, subject string) bool {
	for _, p := range patterns {
		if matches(p, subject) {
			return true
		}
	}
	return len(patterns) == 0
}
