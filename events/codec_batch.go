package events

import "bytes"

// DecodeBatch decodes a JSON array of structured CloudEvents into one Item
// each, in order. The problem is of the batch as a whole, which then has no
// items; a fault inside one event leaves the others alone.
func DecodeBatch(body []byte) ([]Item, *Problem) {
	if len(body) > MaxBatchBytes {
		return nil, problem(CodeTooLarge, "", "found %d bytes; expected at most %d in one batch", len(body), MaxBatchBytes)
	}
	elements, p := splitArray(body)
	if p != nil {
		return nil, p
	}
	items := make([]Item, len(elements))
	for i, element := range elements {
		items[i] = DecodeEvent(element)
	}
	return items, nil
}

// splitArray takes a JSON array of objects apart at its commas, minding only
// brackets and strings, so that a fault inside one event stays there. Each
// piece is still to be decoded strictly: the batch is valid JSON exactly when
// every piece is.
func splitArray(body []byte) ([][]byte, *Problem) {
	rest := bytes.TrimLeft(body, jsonSpace)
	if len(rest) == 0 || rest[0] != '[' {
		return nil, problem(CodeMalformed, "", "found %s; expected a JSON array of events", clip(string(rest)))
	}
	elements := make([][]byte, 0, len(body)/256)
	depth, start := 1, 1
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			i += stringEnd(rest[i+1:])
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 1 {
				elements = append(elements, bytes.Trim(rest[start:i], jsonSpace))
				start = i + 1
			}
		}
		if depth == 0 {
			elements = append(elements, bytes.Trim(rest[start:i], jsonSpace))
			return checkArray(elements, rest[i:])
		}
	}
	return nil, problem(CodeMalformed, "", "the JSON array does not end; expected ]")
}

func checkArray(elements [][]byte, end []byte) ([][]byte, *Problem) {
	trailing := bytes.TrimLeft(end[1:], jsonSpace)
	switch {
	case end[0] != ']':
		return nil, problem(CodeMalformed, "", "found } where the JSON array should end; expected ]")
	case len(trailing) > 0:
		return nil, problem(CodeMalformed, "", "found %s after the JSON array; expected its end", clip(string(trailing)))
	case len(elements) == 1 && len(elements[0]) == 0:
		return nil, problem(CodeInvalid, "", "the batch is empty; expected 1 to %d events", MaxBatchEvents)
	case len(elements) > MaxBatchEvents:
		return nil, problem(CodeTooLarge, "", "found %d events; expected at most %d in one batch", len(elements), MaxBatchEvents)
	}
	return elements, nil
}

const jsonSpace = " \t\r\n"

// stringEnd returns how many bytes of s belong to the string that has just
// begun, its closing quote included; all of them when it does not end.
func stringEnd(s []byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(s)
}
