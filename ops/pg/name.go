package pg

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Name is a relation's name. Schema is empty until [DB.Resolve] has found it.
type Name struct {
	Schema string
	Table  string
}

// MaxNameBytes is the longest identifier that PostgreSQL keeps whole
// (NAMEDATALEN - 1); longer ones are silently cut.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
const MaxNameBytes = 63

var plainIdentifier = regexp.MustCompile(`^[a-z_][a-z0-9_$]*$`)

// ParseName reads table or schema.table with SQL's quoting rules: an unquoted
// part is folded to lower case, a quoted one keeps its case and may hold dots,
// and a doubled quote stands for one.
func ParseName(s string) (Name, error) {
	parts, err := splitName(s)
	if err != nil {
		return Name{}, fmt.Errorf("table name %q: %w", s, err)
	}
	switch len(parts) {
	case 1:
		return Name{Table: parts[0]}, nil
	case 2:
		return Name{Schema: parts[0], Table: parts[1]}, nil
	default:
		return Name{}, fmt.Errorf("table name %q: want table or schema.table", s)
	}
}

func splitName(s string) ([]string, error) {
	var parts []string
	rest := s
	for {
		part, tail, err := cutIdentifier(rest)
		if err != nil {
			return nil, err
		}
		if len(part) > MaxNameBytes {
			return nil, fmt.Errorf("%q is longer than %d bytes", part, MaxNameBytes)
		}
		parts = append(parts, part)
		if tail == "" {
			return parts, nil
		}
		if tail[0] != '.' {
			return nil, fmt.Errorf("unexpected %q", tail)
		}
		rest = tail[1:]
	}
}

// cutIdentifier returns the identifier at the head of s, unquoted and folded,
// and what follows it.
func cutIdentifier(s string) (ident, tail string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, `."`)
		if end < 0 {
			end = len(s)
		}
		ident = strings.ToLower(s[:end])
		if ident == "" {
			return "", "", fmt.Errorf("empty identifier")
		}
		if strings.ContainsAny(ident, " \t\r\n;'()\x00") {
			return "", "", fmt.Errorf("%q needs double quotes", s[:end])
		}
		return ident, s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == 0:
			return "", "", fmt.Errorf("zero byte in identifier")
		case s[i] != '"':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		case b.Len() == 0:
			return "", "", fmt.Errorf("empty identifier")
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("unterminated quote")
}

// SQL is the name for use in a statement, always quoted.
func (n Name) SQL() string {
	if n.Schema == "" {
		return pgx.Identifier{n.Table}.Sanitize()
	}
	return pgx.Identifier{n.Schema, n.Table}.Sanitize()
}

// String is the name for people and for output, quoted where it needs to be.
func (n Name) String() string {
	if n.Schema == "" {
		return displayIdentifier(n.Table)
	}
	return displayIdentifier(n.Schema) + "." + displayIdentifier(n.Table)
}

// MarshalText makes a Name a string in JSON and CSV.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// With returns a relation of the same schema.
func (n Name) With(table string) Name { return Name{Schema: n.Schema, Table: table} }

func displayIdentifier(s string) string {
	if plainIdentifier.MatchString(s) {
		return s
	}
	return Ident(s)
}

// Ident quotes one identifier.
func Ident(s string) string { return pgx.Identifier{s}.Sanitize() }

// Idents quotes identifiers and joins them with commas.
func Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Ident(n)
	}
	return strings.Join(quoted, ", ")
}

// Literal quotes a string constant, for statements that take no parameters.
// It relies on standard_conforming_strings, on by default since PostgreSQL 9.1.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
