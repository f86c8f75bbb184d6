package report

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

var placeholder = regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*$`)

// values are what a $name may stand for.
type values map[string]string

// clock gives the names for times.
func clock(now time.Time) values {
	now = now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	monday := today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	v := values{}
	for name, t := range map[string]time.Time{
		"now": now, "today": today, "week": monday, "month": month, "next_month": month.AddDate(0, 1, 0),
	} {
		v[name] = t.Format(time.RFC3339Nano)
	}
	return v
}

func (v values) resolve(text string) (string, error) {
	if !placeholder.MatchString(text) {
		return text, nil
	}
	value, ok := v[text[1:]]
	if !ok {
		return "", fmt.Errorf("no value for %s: neither the sample nor values has it", text)
	}
	return value, nil
}

// bind gives the parameters their values.
func (q Query) bind(v values) ([]string, error) {
	bound := make([]string, len(q.Params))
	for i, p := range q.Params {
		var err error
		if bound[i], err = v.resolve(string(p.Value)); err != nil {
			return nil, fmt.Errorf("params: number %d: %w", i+1, err)
		}
	}
	return bound, nil
}

// claimsJSON is what the application's gateway sets as request.jwt.claims.
func (q Query) claimsJSON(v values) (string, error) {
	claims := map[string]any{}
	if q.Role != roleNone {
		claims["role"] = q.Role
	}
	for name, value := range q.Claims {
		if text, ok := value.(string); ok {
			resolved, err := v.resolve(text)
			if err != nil {
				return "", fmt.Errorf("claims: %s: %w", name, err)
			}
			value = resolved
		}
		claims[name] = value
	}
	data, err := json.Marshal(claims)
	return string(data), err
}
