package partitions_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// addKey adds the column that is to be the partition key.
func (g *gen) addKey() {
	c := column{name: g.name("key"), notNull: g.chance(0.6), isKey: true}
	kinds := map[string]partitions.KeyType{
		"timestamp with time zone": partitions.TimestampTZ, "timestamp(3) with time zone": partitions.TimestampTZ,
		"timestamp without time zone": partitions.Timestamp, "date": partitions.Date,
	}
	c.columnType = columnTypeOf(pick(g, "timestamp with time zone", "timestamp with time zone", "timestamp(3) with time zone", "timestamp without time zone", "date"),
		"k", "btree brin")
	g.schema.key = partitions.Key{Column: c.name, Type: kinds[c.sql], Zone: g.schema.spec.Zone}
	g.schema.spec.Key = c.name
	p := part{what: "key " + c.name + " " + c.sql, column: c.ident() + " " + c.sql, insert: c.name, value: "k::" + c.sql}
	switch {
	case g.chance(0.01):
		domain := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("instant"))
		p.before = []string{"CREATE DOMAIN " + domain + " AS " + c.sql}
		p.column, p.value = c.ident()+" "+domain, "k::"+domain
		p.refused = &refusal{id: "ATL-PART-006", mentions: c.name, first: looksAtKey}
	case g.chance(0.011):
		p.column, p.insert, p.value = c.ident()+" timestamp GENERATED ALWAYS AS ('2020-01-01'::timestamp) STORED", "", ""
		g.schema.key.Type, c.generated = partitions.Timestamp, "STORED"
		p.refused = &refusal{id: "ATL-PART-006", mentions: c.name, first: looksAtKey}
	case g.chance(0.012):
		p.column, p.value, c.columnType = c.ident()+" text", "k::text", columnTypeOf("text", "k", "btree")
		p.refused = &refusal{id: "ATL-PART-006", mentions: c.name, first: looksAtKey}
	case g.chance(0.4):
		p.column += " DEFAULT " + pick(g, "now()", "CURRENT_TIMESTAMP", "'2020-02-29'", "('2020-01-01' || "+constant("")+")::timestamp")
	}
	if c.notNull {
		if g.major >= 18 && g.chance(0.3) {
			p.column += " CONSTRAINT " + pg.Ident(g.name("nn"))
		}
		p.column += " NOT NULL"
	}
	g.columns = append(g.columns, c)
	g.add(p)
}

// fill chooses the keys of the rows that there are and of those to come.
func (g *gen) fill() {
	s := &g.schema
	first := s.key.Period(s.key.Time(s.now), s.spec.Interval)
	last := first
	for range s.spec.Ahead {
		last = last.Next()
	}
	at := func() string {
		switch g.IntN(6) {
		case 0:
			return s.key.Text(first.Start)
		case 1:
			return s.key.Text(first.End)
		case 2:
			return s.key.Text(last.End.Add(-time.Second))
		case 3:
			return s.key.Text(between(g, first.Start, last.End))
		default:
			return s.key.Text(between(g, first.Start.AddDate(-5, 0, 0), first.End))
		}
	}
	for range pick(g, 0, 3, 20) {
		s.keys = append(s.keys, at())
	}
	for range 15 {
		s.later = append(s.later, at())
	}
	if g.chance(0.1) {
		s.keys = append(s.keys, pick(g, "-infinity", "0044-03-15 BC", "0001-01-01"))
	}
	if g.chance(0.5) {
		s.later = append(s.later, "-infinity", "0044-03-15 BC")
	}
	key := slices.IndexFunc(g.columns, func(c column) bool { return c.isKey && c.generated == "" })
	switch {
	case key < 0:
	case g.chance(0.02):
		s.keys = append(s.keys, pick(g, s.key.Text(last.End), "infinity", "20000-01-01"))
		g.add(part{what: "late rows", refused: &refusal{id: "ATL-PART-008", mentions: "beyond"}})
	case g.chance(0.02) && !g.columns[key].notNull:
		s.keys = append(s.keys, "")
		g.add(part{what: "rows without a key", refused: &refusal{id: "ATL-PART-007", mentions: "NULL"}})
	}
}

// between returns a second from a span.
func between(g *gen, from, to time.Time) time.Time {
	return from.Add(time.Duration(g.Int64N(int64(to.Sub(from)/time.Second))) * time.Second)
}

// insert makes rows of these keys; each has a number of its own from first on.
func (s schema) insert(keys []string, first int) string {
	var columns, values, literals []string
	for _, p := range s.parts {
		if p.insert != "" {
			columns, values = append(columns, pg.Ident(p.insert)), append(values, p.value)
		}
	}
	for _, k := range keys {
		literals = append(literals, constant(k))
	}
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM (SELECT (n + %d)::integer AS i, nullif(k, '') AS k FROM unnest(ARRAY[%s]::text[]) WITH ORDINALITY AS x (k, n)) AS rows",
		s.spec.Table.SQL(), strings.Join(columns, ", "), strings.Join(values, ", "), first-1, strings.Join(literals, ", "))
}
