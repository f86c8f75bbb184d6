package pg

import (
	"bytes"
	"encoding/json"
)

// Severity orders findings. The zero value is Info.
type Severity int

// The severities, mildest first.
const (
	Info Severity = iota
	Warn
	Error
)

func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warn:
		return "warn"
	default:
		return "info"
	}
}

// MarshalText makes a Severity a string in JSON and CSV.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is something that a check found, with a stable ID to search for,
// the evidence as data, and the SQL or the command that mends it.
type Finding struct {
	ID       string         `json:"id"`
	Severity Severity       `json:"severity"`
	Object   string         `json:"object"`
	Message  string         `json:"message"`
	Evidence map[string]any `json:"evidence"`
	Fix      string         `json:"fix"`
}

// MarshalJSON writes evidence as an object also when there is none.
func (f Finding) MarshalJSON() ([]byte, error) {
	type plain Finding
	if f.Evidence == nil {
		f.Evidence = map[string]any{}
	}
	return marshal(plain(f))
}

// marshal is JSON that keeps <, > and & as they are in SQL.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// Worst is the highest severity among the findings; ok is false for none.
func Worst(findings []Finding) (worst Severity, ok bool) {
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst, len(findings) > 0
}
