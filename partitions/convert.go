package partitions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Strategy says how rows get into leaves.
type Strategy string

// Attach makes the table itself the leaf that holds the past.
const Attach Strategy = "attach"

// strategy is the one that was chosen.
func (o Options) strategy() Strategy { return cmp.Or(o.Strategy, Attach) }

// PlanResult says what a conversion would do.
type PlanResult struct {
	Table    pg.Name      `json:"table"`
	Strategy Strategy     `json:"strategy"`
	Steps    []Step       `json:"steps"`
	Cutoff   string       `json:"cutoff"` // the bound between history and the leaves to come
	Blockers []pg.Finding `json:"blockers"`
	Warnings []pg.Finding `json:"warnings"`
}

// ConvertResult says what a conversion or a reversion did.
type ConvertResult struct {
	Table    pg.Name  `json:"table"`
	Strategy Strategy `json:"strategy"`
	// State is converted, split, reverted, cleaned, blocked, partial (stopped
	// between steps) or planned (nothing has changed).
	State                  string       `json:"state"`
	Steps                  []Step       `json:"steps"`
	Rows                   int64        `json:"rows"` // estimate
	Seconds                float64      `json:"seconds"`
	LongestExclusiveLockMS float64      `json:"longest_exclusive_lock_ms"`
	LockRetries            int          `json:"lock_retries"`
	Changed                bool         `json:"-"` // whether this run did anything
	Findings               []pg.Finding `json:"-"` // blockers, then warnings
}

// The states of a [ConvertResult].
const (
	StateConverted = "converted"
	StateReverted  = "reverted"
	StateBlocked   = "blocked"
	StatePartial   = "partial"
	StatePlanned   = "planned"
	StateSplit     = "split"
	StateCleaned   = "cleaned"
)

// Plan says what [Convert] would do, and changes nothing.
func Plan(ctx context.Context, db *pg.DB, spec Spec, o Options) (PlanResult, error) {
	p := PlanResult{Table: spec.Table, Strategy: o.strategy(), Steps: []Step{}, Blockers: []pg.Finding{}, Warnings: []pg.Finding{}}
	s, err := inspect(ctx, db, spec, o)
	if err != nil {
		return p, err
	}
	o.startClock(db)
	var steps []Step
	if len(s.blockers) == 0 {
		if steps, err = s.steps(ctx, db, spec, o); err != nil {
			return p, err
		}
	}
	p.Blockers, p.Warnings = append(p.Blockers, s.blockers...), append(p.Warnings, s.warnings...)
	if len(s.blockers) > 0 {
		return p, nil
	}
	p.Steps = steps
	if !s.table.Partitioned() {
		p.Cutoff = s.key.Text(s.cutoff)
		if p.Strategy == Attach {
			p.Warnings = append(p.Warnings, pg.Finding{
				ID: "ATL-PART-026", Severity: pg.Info, Object: spec.Table.String(),
				Message: fmt.Sprintf("from the check until its leaf is there, a row whose %s is NULL or at or past %s is refused", spec.Key, p.Cutoff),
			})
		}
		notices, err := applicationNotices(ctx, db, spec)
		if err != nil {
			return p, err
		}
		p.Warnings = append(p.Warnings, notices...)
	}
	return p, nil
}

// Convert turns a table into a partitioned one whose past is the old table
// itself, and makes the leaves to come. It resumes what an earlier run left
// half done: every step is derived anew from the catalogs after each one.
//
// Errors: [pg.ErrNotNow] if another run has the table, or a lock could not be
// had and nothing has changed; [pg.ErrStopped] if something has. Blockers are
// no error: the state is blocked and they are in Findings.
func Convert(ctx context.Context, db *pg.DB, spec Spec, o Options) (ConvertResult, error) {
	r := ConvertResult{Table: spec.Table, Strategy: o.strategy(), State: StatePlanned, Steps: []Step{}}
	unlock, err := db.LockTable(ctx, spec.Table)
	if err != nil {
		return r, err
	}
	defer unlock()
	o.startClock(db)
	return walk(ctx, r, StateConverted, o, func(ctx context.Context) (steps []Step, findings []pg.Finding, rows int64, err error) {
		err = db.Look(ctx, "look at "+spec.Table.String(), func() error {
			s, err := inspect(ctx, db, spec, o)
			if err == nil {
				err = s.indexInTheMaking(ctx, db, spec)
			}
			if err != nil {
				return err
			}
			if len(s.blockers) == 0 {
				rows = int64(max(s.table.Rows, 0))
				steps, err = s.steps(ctx, db, spec, o)
			}
			findings = append(slices.Clone(s.blockers), s.warnings...)
			return err
		})
		return steps, findings, rows, err
	})
}

// maxRounds bounds how often a step that the catalogs don't show as done is
// tried again.
const maxRounds = 3

// walk looks, does the first step that is not done, and looks again, until
// none is left.
func walk(ctx context.Context, r ConvertResult, goal string, o Options,
	look func(context.Context) ([]Step, []pg.Finding, int64, error),
) (ConvertResult, error) {
	began := time.Now()
	var held pg.Held
	tries := map[string]int{}
	finish := func(err error) (ConvertResult, error) {
		r.Seconds = time.Since(began).Seconds()
		r.LongestExclusiveLockMS = float64(held.Longest.Microseconds()) / 1000
		r.LockRetries = held.Retries
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			err = ctx.Err() // not how the server worded it
		}
		lost := pg.IsLost(err)
		if lost && !errors.Is(err, pg.ErrStopped) { // an unknown outcome says it already
			err = fmt.Errorf("the connection to the server was lost: %w", err)
		}
		switch {
		case r.Changed || errors.Is(err, pg.ErrStopped):
			r.State = StatePartial
			if ctx.Err() == nil {
				err = pg.Stoppedf("%w", err)
			}
			hint := "what is done is kept; run the same command again to go on"
			switch goal {
			case StateConverted:
				hint += fmt.Sprintf(", or take it back: atlasctl partition revert %s", r.Table)
			case StateSplit:
				hint += fmt.Sprintf(", or take it back: atlasctl partition split %s --abort", r.Table)
			}
			err = pg.WithHint(err, hint)
		case lost:
			err = pg.WithHint(err, "once the server can be reached, run the same command again: it looks, and goes on from there")
		case errors.Is(err, pg.ErrNotNow):
			err = pg.WithHint(err, fmt.Sprintf("nothing has changed: %s is as it was", r.Table))
		}
		return r, err
	}
	for first := true; ; first = false {
		steps, findings, rows, err := look(ctx)
		if err != nil {
			return finish(err)
		}
		if first {
			r.Findings = findings
		}
		r.Rows = max(r.Rows, rows) // known once analysed
		if worst, _ := pg.Worst(findings); worst == pg.Error {
			r.Findings = findings
			if !r.Changed {
				r.State = StateBlocked
				return finish(nil)
			}
			return finish(errors.New(findings[0].Message))
		}
		r.Steps = mergeSteps(r.Steps, steps)
		next := slices.IndexFunc(steps, func(s Step) bool { return !s.Done })
		if next < 0 {
			r.State = goal
			return finish(nil)
		}
		step := steps[next]
		if tries[step.Name]++; tries[step.Name] > maxRounds {
			return finish(fmt.Errorf("%s: ran %d times and the catalogs still don't show it as done", step.Name, maxRounds))
		}
		event(o, Event{Table: r.Table, Step: step.Name, Until: step.opens})
		start := time.Now()
		h, err := step.run(ctx)
		held = held.Add(h)
		if blocker, ok := errors.AsType[*blockedError](err); ok {
			r.Findings = append([]pg.Finding{blocker.Finding}, r.Findings...)
			r.State = StateBlocked
			return finish(nil)
		}
		if errors.Is(err, errDrift) {
			continue // somebody changed the table meanwhile: look again
		}
		if err != nil {
			r.Changed = r.Changed || step.piecemeal
			return finish(err)
		}
		r.Changed = r.Changed || !step.bookkeeping
		event(o, Event{Table: r.Table, Step: step.Name, Done: true, Took: time.Since(start)})
	}
}

func event(o Options, e Event) {
	if o.OnEvent != nil {
		o.OnEvent(e)
	}
}

// mergeSteps brings what was seen first up to date: once a step is done, the
// catalogs no longer say what it took, or that it was needed at all.
func mergeSteps(seen, now []Step) []Step {
	merged := make([]Step, 0, len(now))
	named := func(name string) func(Step) bool { return func(s Step) bool { return s.Name == name } }
	for _, s := range seen {
		s.Done = true
		if i := slices.IndexFunc(now, named(s.Name)); i >= 0 {
			s.Done = now[i].Done
			if len(now[i].SQL) > 0 {
				s.SQL, s.Lock = now[i].SQL, now[i].Lock
			}
		}
		merged = append(merged, s)
	}
	for _, s := range now {
		if !slices.ContainsFunc(seen, named(s.Name)) {
			merged = append(merged, s)
		}
	}
	return merged
}

// steps is the runbook of a conversion.
func (s *survey) steps(ctx context.Context, db *pg.DB, spec Spec, o Options) ([]Step, error) {
	recorded, err := readConversion(ctx, db, spec.Table)
	if err != nil {
		return nil, err
	}
	if s.table.Partitioned() {
		return s.laterSteps(ctx, db, spec, o, recorded)
	}
	if o.strategy() == Copy {
		return s.copySteps(ctx, db, spec, o, recorded)
	}
	steps := []Step{s.recordStep(db, spec, o, recorded)}
	for _, g := range s.guards {
		steps = append(steps, s.guardSteps(db, g)...)
	}
	steps = append(steps, s.checkStep(db, spec), s.validateStep(db, spec))
	for _, ix := range s.indexes {
		if s.widened(ix, spec, o) {
			steps = append(steps, s.indexStep(db, spec, ix))
		}
	}
	if err := o.lookAtWindow(ctx, spec); err != nil {
		return nil, err
	}
	steps = append(steps, s.switchStep(db, spec, o)...)
	missing := missingRanges(spec, s.key, []Range{{Upper: &s.cutoff}}, s.key.Time(o.Now))
	premake, err := premakeStep(ctx, db, s.table, spec, s.key, s.leafTemplate(spec), missing)
	if err != nil {
		return nil, err
	}
	return append(steps, premake, analyzeStep(db, spec, Attach, false)), nil
}

// laterSteps are what is left once the table is partitioned.
func (s *survey) laterSteps(ctx context.Context, db *pg.DB, spec Spec, o Options, recorded *conversion) ([]Step, error) {
	t := s.table
	missing, err := t.missing(ctx, db, spec, o.Now)
	if err != nil {
		return nil, err
	}
	like, err := readTemplate(ctx, db, t)
	if err != nil {
		return nil, err
	}
	key, err := t.Key(spec.Zone)
	if err != nil {
		return nil, err
	}
	premake, err := premakeStep(ctx, db, t, spec, key, like, missing)
	if err != nil {
		return nil, err
	}
	strategy, before := Attach, stepsBefore
	if recorded != nil && recorded.Strategy == Copy {
		strategy, before = Copy, copyStepsBefore
	}
	steps := make([]Step, 0, len(before)+4)
	for _, name := range before {
		steps = append(steps, Step{Name: name, SQL: []string{}, Done: true, Reversible: true})
	}
	release, err := releaseSteps(ctx, db, spec)
	if err != nil {
		return nil, err
	}
	steps = append(steps, release...)
	return append(steps, premake, analyzeStep(db, spec, strategy, t.Rows >= 0), finishStep(db, t, recorded)), nil
}

// stepsBefore are done once the table is partitioned.
var (
	stepsBefore     = []string{"record", "check", "validate", "switch"}
	copyStepsBefore = []string{"record", "leaves", "log", "copy", "index", "compare", "switch"}
)

// checkStep adds the constraint that will prove the history's bound. From here
// on NULL keys and keys at or past C are refused.
func (s *survey) checkStep(db *pg.DB, spec Spec) Step {
	table, col := spec.Table.SQL(), pg.Ident(spec.Key)
	step := Step{Name: "check", Lock: "ACCESS EXCLUSIVE, no scan", Reversible: true, Done: s.check == checkValid || s.check == checkNotValid}
	var sql []string
	if s.check == checkStale {
		sql = append(sql, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, pg.Ident(checkName)))
	}
	sql = append(sql, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL AND %s < %s) NOT VALID",
		table, pg.Ident(checkName), col, col, s.key.Typed(s.cutoff)))
	return s.fillBefore(db, lockedStep(db, step, pg.Locked{
		What:      "add the check to " + spec.Table.String(),
		Locks:     []string{"LOCK TABLE ONLY " + table + " IN ACCESS EXCLUSIVE MODE"},
		Relations: []uint32{s.table.OID},
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			now, _, err := findCheck(ctx, q, s.table)
			return now != "" && now != s.checkDefinition, err
		},
	}, sql))
}

// fillBefore fills NULL keys before a step: before the check, which would
// refuse any change of such a row, and after it once more for those that have
// come meanwhile.
func (s *survey) fillBefore(db *pg.DB, step Step) Step {
	if s.fill == "" {
		return step
	}
	run := step.run
	step.Scans = true
	step.SQL = append([]string{s.fill}, step.SQL...)
	step.run = func(ctx context.Context) (pg.Held, error) {
		if err := db.RunOutside(ctx, "fill NULL keys", s.fill); err != nil {
			return pg.Held{}, err
		}
		return run(ctx)
	}
	return step
}

// validateStep reads the whole table while everybody works on.
func (s *survey) validateStep(db *pg.DB, spec Spec) Step {
	table := spec.Table.SQL()
	step := Step{Name: "validate", Lock: "SHARE UPDATE EXCLUSIVE", Scans: true, Reversible: true, Done: s.check == checkValid}
	step = s.fillBefore(db, outsideStep(db, step, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, pg.Ident(checkName))))
	validate := step.run
	step.run = func(ctx context.Context) (pg.Held, error) {
		held, err := validate(ctx)
		if pg.Code(err) != pg.CodeCheckViolation {
			return held, err
		}
		// Don't leave the table refusing rows for a conversion that can't go on.
		undo := fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, pg.Ident(checkName))
		dropped, derr := db.RunLocked(ctx, pg.Locked{
			What:      "drop the check from " + spec.Table.String(),
			Locks:     []string{"LOCK TABLE ONLY " + table + " IN ACCESS EXCLUSIVE MODE"},
			Relations: []uint32{s.table.OID}, StatementTimeout: switchTimeout, Body: pg.Fixed(undo), Committed: checkIsGone(s.table),
		})
		if derr != nil {
			return held.Add(dropped), errors.Join(err, derr)
		}
		return held.Add(dropped), &blockedError{pg.Finding{
			ID: "ATL-PART-008", Severity: pg.Error, Object: spec.Table.String(),
			Message: fmt.Sprintf("%s has rows whose %s is NULL or at or past %s; the check was dropped again", spec.Table, spec.Key, s.key.Text(s.cutoff)),
			Fix:     fmt.Sprintf("SELECT * FROM %s WHERE %s IS NULL OR %s >= %s", table, pg.Ident(spec.Key), pg.Ident(spec.Key), s.key.Literal(s.cutoff)),
		}}
	}
	return step
}

// blockedError is a blocker that only a step could find, after it has put
// everything back.
type blockedError struct{ pg.Finding }

func (e *blockedError) Error() string { return e.Message }

// widened says whether the partition key is added to a unique index.
func (s *survey) widened(ix Index, spec Spec, o Options) bool {
	if !ix.IsUnique || ix.has(spec.Key) || slices.Contains(o.DropUnique, ix.Name) || s.isStaging(ix.Name) {
		return false
	}
	return ix.ConstraintType == "p" || slices.Contains(o.WidenUnique, ix.Name)
}

// ownPrefix begins the names that are atlasctl's own, and of nothing else.
const ownPrefix = "atlasctl_"

// stagingIndex is the name of the index that will back a widened key.
func stagingIndex(ix Index) string { return LeafName(ownPrefix+ix.Name, "new") }

// isStaging says whether an index is one that an earlier run has built.
func (s *survey) isStaging(name string) bool { return isStaging(s.indexes, name) }

func isStaging(indexes []Index, name string) bool {
	return slices.ContainsFunc(indexes, func(ix Index) bool { return stagingIndex(ix) == name })
}

// indexStep builds the unique index of a widened key.
func (s *survey) indexStep(db *pg.DB, spec Spec, ix Index) Step {
	return concurrentIndexStep(db, s.indexes, spec.Table, "index "+ix.Name, stagingIndex(ix), ix.widened(spec.Key))
}

// concurrentIndexStep builds a unique index like ix, after dropping the ruin of
// an earlier try.
func concurrentIndexStep(db *pg.DB, existing []Index, table pg.Name, step, name string, ix Index) Step {
	var sql []string
	done := false
	for _, e := range existing {
		if e.Name == name {
			if done = e.Valid; !done {
				sql = append(sql, "DROP INDEX CONCURRENTLY "+table.With(name).SQL())
			}
		}
	}
	sql = append(sql, ix.createSQL("CONCURRENTLY ", table, name))
	s := outsideStep(db, Step{Name: step, Lock: "SHARE UPDATE EXCLUSIVE", Scans: true, Reversible: true, Done: done}, sql...)
	build := s.run
	s.run = func(ctx context.Context) (pg.Held, error) {
		held, err := build(ctx)
		if errors.Is(err, pg.ErrNotNow) {
			var ruin bool
			look := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table.With(name).SQL()).Scan(&ruin)
			if ruin || look != nil { // an invalid index, which the next run drops
				err = pg.Stoppedf("%w", errors.Join(err, look))
			}
		}
		return held, err
	}
	return s
}

// analyzeStep gives the planner its first statistics of the parent, which
// autovacuum never analyses. Leaves that were copied have theirs: each that is
// analyzed again makes every session plan its queries again.
// https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-STATISTICS
func analyzeStep(db *pg.DB, spec Spec, strategy Strategy, done bool) Step {
	sql := "ANALYZE " + spec.Table.SQL()
	if strategy == Copy {
		sql = AnalyzeParentSQL(db, spec.Table)
	}
	return outsideStep(db, Step{Name: "analyze", Lock: "SHARE UPDATE EXCLUSIVE", Done: done, Reversible: true}, sql)
}

// AnalyzeParentSQL gives a partitioned table statistics, without its leaves where
// the server can leave them out: from PostgreSQL 18 on.
// https://www.postgresql.org/docs/18/sql-analyze.html
func AnalyzeParentSQL(db *pg.DB, table pg.Name) string {
	if db.Server.Major() >= 18 {
		return "ANALYZE ONLY " + table.SQL()
	}
	return "ANALYZE " + table.SQL()
}

func joinColumns(columns []string) string { return strings.Join(columns, ", ") }
