package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// found is a range of a source that has expired rows, and where they go.
type found struct {
	home
	fresh bool // the archive's leaf is yet to be made
	rows  int64
}

// before is the condition that a row of s is expired.
func (j *job) before(s *source) string {
	return j.within(span{lower: partitions.Bound{Unbounded: true}, upper: j.upTo(s.span)})
}

// firstKey is the lowest key at or after from that is expired, or false. With
// an index on the key this reads one row.
func (j *job) firstKey(ctx context.Context, q pg.Queryer, s *source, from partitions.Bound) (partitions.Bound, bool, error) {
	key, where := pg.Ident(j.key.Column), j.before(s)
	if !from.Unbounded {
		where = j.within(span{from, j.upTo(s.span)})
	}
	var text string
	err := q.QueryRow(ctx, fmt.Sprintf("SELECT x.%[1]s::text FROM ONLY %[2]s x WHERE %[3]s ORDER BY x.%[1]s LIMIT 1", key, s.name.SQL(), where)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return partitions.Bound{}, false, nil
	}
	if err != nil {
		return partitions.Bound{}, false, fmt.Errorf("look for expired rows of %s: %w", s.name, err)
	}
	at, err := j.key.ParseText(text)
	return partitions.Bound{Text: text, Time: at}, err == nil, err
}

// hasAncient says whether s has rows before the first named period.
func (j *job) hasAncient(ctx context.Context, q pg.Queryer, s *source) (has bool, err error) {
	first, ok := ancient(j.key)
	if !ok || !s.lower.Unbounded {
		return false, nil
	}
	where := j.within(span{partitions.Bound{Unbounded: true}, tighterUpper(j.key, first, j.upTo(s.span))})
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM ONLY %s WHERE %s)", s.name.SQL(), where)).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("look for expired rows of %s: %w", s.name, err)
	}
	return has, nil
}

// homeFor is the archive's leaf for a row of s with this key: the one that
// there is, or one to be made.
func (j *job) homeFor(ctx context.Context, q pg.Queryer, s *source, key partitions.Bound) (found, error) {
	for _, h := range j.taken {
		if h.holds(j.key, key) {
			return found{home: h}, nil
		}
	}
	within := s.span
	if j.to != nil { // its leaf goes on to files as a whole, and more of its range later
		within.upper = j.upTo(within)
	}
	sp, suffix := homeOf(j.key, j.spec.Interval, key, within, j.spans())
	name, err := j.freeName(ctx, q, suffix)
	return found{home: home{span: sp, name: name}, fresh: true}, err
}

// freeName is the name of a new leaf of the archive. Two leaves share a period
// where the archive already has a part of it.
func (j *job) freeName(ctx context.Context, q pg.Queryer, suffix string) (pg.Name, error) {
	for i := 1; ; i++ {
		text := suffix
		if i > 1 {
			text = fmt.Sprintf("%s_part%d", suffix, i)
		}
		name := j.dest.With(partitions.LeafName(j.dest.Table, text))
		var used bool
		err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = $2)`, name.Schema, name.Table).Scan(&used)
		if err != nil {
			return name, fmt.Errorf("look for a name for a leaf of %s: %w", j.dest, err)
		}
		for _, h := range j.taken {
			used = used || h.name == name
		}
		if !used {
			return name, nil
		}
	}
}

// discover counts the expired rows of s by where they go, in one pass over
// them. The arithmetic of periods stays here; the server only counts between
// thresholds.
func (j *job) discover(ctx context.Context, q pg.Queryer, s *source) ([]found, error) {
	var all []found
	before := len(j.taken)
	defer func() { j.taken = j.taken[:before] }()
	add := func(key partitions.Bound) (found, error) {
		f, err := j.homeFor(ctx, q, s, key)
		if f.fresh {
			j.taken = append(j.taken, f.home)
		}
		all = append(all, f)
		return f, err
	}
	old, err := j.hasAncient(ctx, q, s)
	if err != nil {
		return nil, err
	}
	from, _ := ancient(j.key)
	from.Unbounded = from.Text == ""
	key, ok, err := j.firstKey(ctx, q, s, from)
	if err != nil {
		return nil, err
	}
	if old {
		if _, err := add(ancientKey); err != nil {
			return nil, err
		}
	}
	var thresholds []string
	for end := j.upTo(s.span); ok && order(j.key, key, end) < 0; {
		f, err := add(key)
		if err != nil {
			return nil, err
		}
		thresholds = append(thresholds, key.Text)
		if f.upper.Unbounded {
			break
		}
		key = f.upper
	}
	if len(all) == 0 {
		return nil, nil
	}
	return j.countBetween(ctx, q, s, all, thresholds)
}

// countBetween fills in the counts and leaves out what has no rows. Rows below
// the first threshold are the ancient ones.
func (j *job) countBetween(ctx context.Context, q pg.Queryer, s *source, all []found, thresholds []string) ([]found, error) {
	bucket, args := "0", []any(nil)
	if len(thresholds) > 0 {
		bucket = fmt.Sprintf("width_bucket(%s, CAST($1::text[] AS pg_catalog.%s[]))", pg.Ident(j.key.Column), j.key.Type)
		args = []any{thresholds}
	}
	rows, err := q.Query(ctx, fmt.Sprintf("SELECT %s, count(*) FROM ONLY %s WHERE %s GROUP BY 1", bucket, s.name.SQL(), j.before(s)), args...)
	if err != nil {
		return nil, fmt.Errorf("count the expired rows of %s: %w", s.name, err)
	}
	offset := len(all) - len(thresholds) - 1 // 0 with ancient rows, -1 without
	var n, rowsIn int64
	_, err = pgx.ForEachRow(rows, []any{&n, &rowsIn}, func() error {
		if i := int(n) + offset; i >= 0 && i < len(all) {
			all[i].rows = rowsIn
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the expired rows of %s: %w", s.name, err)
	}
	var some []found
	for _, f := range all {
		if f.rows > 0 {
			some = append(some, f)
		}
	}
	return some, nil
}
