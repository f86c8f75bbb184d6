package check

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// typeKey is a column of a table that existed before.
type typeKey struct {
	Table  uint32
	Column string
}

// columnType is its type: the base type of a domain, and n of varchar(n).
type columnType struct {
	Base    string
	Length  int
	NotNull bool // proven by a validated CHECK (… IS NOT NULL)
}

// readTypes reads the types of columns that a script may change.
func (c *checker) readTypes(ctx context.Context, tables []*relation) error {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.OID
	}
	c.types = map[typeKey]columnType{}
	rows, err := c.s.observer.Query(ctx, `SELECT a.attrelid, a.attname::text, t.typname::text,
			CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
			EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.convalidated
				AND pg_catalog.pg_get_constraintdef(k.oid) = pg_catalog.format('CHECK ((%I IS NOT NULL))', a.attname))
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped`, oids)
	if err != nil {
		return fmt.Errorf("read the types of columns: %w", err)
	}
	var key typeKey
	var of columnType
	_, err = pgx.ForEachRow(rows, []any{&key.Table, &key.Column, &of.Base, &of.Length, &of.NotNull}, func() error {
		c.types[key] = of
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the types of columns: %w", err)
	}
	return nil
}
