package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/check.sql
var checkSQL string

// checkName is the constraint that proves the history leaf's bound. Names that
// begin with atlasctl_ are left out of manifests.
const checkName = "atlasctl_history"

// cutoffInCheck finds C in the check's definition as the server prints it.
var cutoffInCheck = regexp.MustCompile(`< '([^']+)'::`)

// probeTimeout bounds the look at NULL and future keys of a table without an
// index on the key; VALIDATE finds the same without a bound.
const probeTimeout = 30 * time.Second

// readAttachKeys finds out where history is to end, and what is to become of
// keys that no leaf holds.
func (s *survey) readAttachKeys(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	copied, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return err
	}
	if copied != nil {
		s.block("ATL-PART-070", spec.Table.String(), "a copy of it is under way, or what it left is not dropped yet", nil,
			fmt.Sprintf("--strategy copy goes on with it, --strategy copy --abort ends it, atlasctl partition revert %s finishes a reversion", spec.Table))
	}
	if err := s.readCheck(ctx, db, spec, o); err != nil {
		return err
	}
	return s.readFill(ctx, db, spec, o)
}

// readCheck takes C from the check of an earlier run, or chooses it: the end
// of the interval after the current one, later if there are keys beyond that,
// but not later than the leaves that are wanted ahead.
func (s *survey) readCheck(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	now := s.key.Period(s.key.Time(o.Now), spec.Interval)
	definition, valid, err := findCheck(ctx, db, s.table)
	if err != nil {
		return err
	}
	if s.checkDefinition = definition; definition == "" {
		return s.chooseCutoff(ctx, db, spec, o.FillNullKey, now)
	}
	m := cutoffInCheck.FindStringSubmatch(definition)
	if m == nil {
		return fmt.Errorf("constraint %s of %s is not one that atlasctl makes: %s", checkName, spec.Table, definition)
	}
	if s.cutoff, err = s.key.ParseText(m[1]); err != nil {
		return err
	}
	switch period := s.key.Period(s.cutoff, spec.Interval); {
	case s.cutoff.Before(now.End), !period.Start.Equal(s.cutoff):
		// Left over from a run that is long past, or that wanted another interval.
		s.check = checkStale
		return s.chooseCutoff(ctx, db, spec, o.FillNullKey, now)
	case valid:
		s.check = checkValid
	default:
		s.check = checkNotValid
	}
	return nil
}

// findCheck returns the definition of a table's check; "" for none.
func findCheck(ctx context.Context, q pg.Queryer, t *Table) (definition string, valid bool, err error) {
	err = q.QueryRow(ctx, checkSQL, t.OID, checkName).Scan(&definition, &valid)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", false, fmt.Errorf("look for the check of %s: %w", t.Name, err)
	}
	return definition, valid, nil
}

// checkIsGone is the probe of a transaction that drops the check.
func checkIsGone(t *Table) func(context.Context, pg.Queryer) (bool, error) {
	return func(ctx context.Context, q pg.Queryer) (bool, error) {
		definition, _, err := findCheck(ctx, q, t)
		return definition == "", err
	}
}

func (s *survey) chooseCutoff(ctx context.Context, db *pg.DB, spec Spec, fill string, now Period) error {
	s.cutoff = now.Next().End
	latest := now
	for range max(spec.Ahead, 1) {
		latest = latest.Next()
	}
	lastKey, err := s.probeKeys(ctx, db, spec, fill, latest.End)
	if err != nil {
		return err
	}
	if !lastKey.Before(s.cutoff) {
		s.cutoff = s.key.Period(lastKey, spec.Interval).End
	}
	return nil
}

// probeKeys looks for NULL keys and for keys at or past limit, which are
// blockers unless NULL ones are to be filled, and returns the latest key before
// it; zero for none. Without an index on the key it gives up after a while: the
// check's validation finds the same.
func (s *survey) probeKeys(ctx context.Context, db *pg.DB, spec Spec, fill string, limit time.Time) (found time.Time, err error) {
	var nulls, beyond bool
	var latest *string
	col, table := pg.Ident(spec.Key), spec.Table.SQL()
	sql := fmt.Sprintf(`SELECT EXISTS (SELECT FROM ONLY %[1]s WHERE %[2]s IS NULL),
		EXISTS (SELECT FROM ONLY %[1]s WHERE %[2]s >= %[3]s),
		(SELECT x.%[2]s::text FROM ONLY %[1]s x WHERE x.%[2]s < %[3]s ORDER BY x.%[2]s DESC LIMIT 1)`,
		table, col, s.key.Typed(limit))
	err = db.Read(ctx, probeTimeout, func(ctx context.Context, q pg.Queryer) error {
		if err := q.QueryRow(ctx, sql).Scan(&nulls, &beyond, &latest); err != nil {
			return err
		}
		if nulls && fill == "" {
			if err := s.blockNullKeys(ctx, q, spec); err != nil {
				return err
			}
		}
		if beyond {
			return s.blockLateKeys(ctx, q, spec, limit)
		}
		return nil
	})
	if pg.Code(err) == pg.CodeQueryCanceled && ctx.Err() == nil {
		s.warn("ATL-PART-025", spec.Table.String(), fmt.Sprintf(
			"whether %s has NULL or far future keys could not be told within %s; the validation will tell", spec.Table, probeTimeout), nil, "")
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("look at the keys of %s: %w", spec.Table, err)
	}
	if latest != nil {
		if found, err = s.key.ParseText(*latest); err != nil && *latest != "-infinity" && !strings.HasSuffix(*latest, " BC") {
			return found, err
		}
	}
	return found, nil
}
