// Package maintain is the nightly job: for every table it makes the partitions
// to come, archives what is expired, and analyses the partitioned table, which
// autovacuum never does.
//
// Invariants:
//
//   - One run at a time in a database.
//   - A task that fails does not stop the others, and is reported.
//   - It can be killed anywhere and run again: each task is one of the other
//     packages' and keeps their promises.
//
// Locks: those of premake, archive and ANALYZE.
package maintain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/archive"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// Table is what is wanted of a table every night.
type Table struct {
	partitions.Spec

	// ArchiveAfter is the age from which rows are archived; zero for never.
	ArchiveAfter archive.Age
	// Children says what becomes of rows that refer to what is archived.
	Children archive.Children
	// ArchiveTo is where to, as [archive.Options].To.
	ArchiveTo string
}

// Options of a run.
type Options struct {
	// Now is the instant that all tasks count as now.
	Now time.Time
	// OnEvent is told of each task as it begins and ends; nil for nobody.
	OnEvent func(partitions.Event)
	// Store and Version are as in [archive.Options].
	Store   store.Options
	Version string
}

// Task is the outcome of one task.
type Task struct {
	Task    string  `json:"task"` // premake, archive or analyze
	Table   pg.Name `json:"table"`
	State   string  `json:"state"`
	Detail  string  `json:"detail"`
	Seconds float64 `json:"seconds"`
}

// The states of a [Task].
const (
	StateOK      = "ok"
	StateSkipped = "skipped" // nothing that could be done, and the detail says why
	StateNotNow  = "not_now" // busy or locked: the next run will do it
	StateFailed  = "failed"
)

// Result is the outcome of a run.
type Result struct {
	Tasks    []Task
	Findings []pg.Finding
}

// Count counts the tasks in a state.
func (r Result) Count(state string) int {
	n := 0
	for _, t := range r.Tasks {
		if t.State == state {
			n++
		}
	}
	return n
}

// errSkipped ends a task for which there is nothing to do.
var errSkipped = errors.New("skipped")

// Run does all tasks of all tables. Errors: [pg.ErrNotNow] if another run is
// going on; the context's. What goes wrong within a task is its own outcome.
func Run(ctx context.Context, db *pg.DB, tables []Table, o Options) (Result, error) {
	var r Result
	unlock, err := db.LockRun(ctx, "maintain")
	if err != nil {
		return r, err
	}
	defer unlock()
	tasks := []struct {
		name string
		run  func(context.Context, *pg.DB, Table, Options) (string, []pg.Finding, error)
	}{{"premake", premake}, {"archive", archiveExpired}, {"analyze", analyze}}
	for _, t := range tables {
		for _, task := range tasks {
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			r.do(ctx, o, task.name, t.Table, func() (string, []pg.Finding, error) { return task.run(ctx, db, t, o) })
			if db.IsClosed() {
				if err := db.Reconnect(ctx); err != nil {
					return r, err
				}
			}
		}
	}
	return r, ctx.Err()
}

// do runs one task and keeps its outcome.
func (r *Result) do(ctx context.Context, o Options, name string, table pg.Name, run func() (string, []pg.Finding, error)) {
	event := partitions.Event{Table: table, Step: name}
	tell := func(e partitions.Event) {
		if o.OnEvent != nil {
			o.OnEvent(e)
		}
	}
	tell(event)
	start := time.Now()
	detail, findings, err := run()
	took := time.Since(start)
	event.Done, event.Took = true, took
	tell(event)
	task := Task{Task: name, Table: table, State: StateOK, Detail: detail, Seconds: took.Seconds()}
	r.Findings = append(r.Findings, findings...)
	worst, _ := pg.Worst(findings)
	switch {
	case ctx.Err() != nil && err != nil:
		task.State, task.Detail = StateFailed, "interrupted"
	case errors.Is(err, errSkipped):
		task.State = StateSkipped
	case errors.Is(err, pg.ErrNotNow) && !errors.Is(err, pg.ErrStopped):
		task.State, task.Detail = StateNotNow, err.Error()
	case err != nil:
		task.State, task.Detail = StateFailed, err.Error()
	case worst == pg.Error:
		task.State = StateFailed
		for _, f := range findings {
			if f.Severity == pg.Error {
				task.Detail = f.Message
				break
			}
		}
	}
	r.Tasks = append(r.Tasks, task)
}

// notPartitioned says why there is nothing to premake or analyse; "" if there
// is.
func notPartitioned(ctx context.Context, db *pg.DB, t Table) (string, error) {
	table, err := partitions.Inspect(ctx, db, t.Table, t.Zone)
	if err != nil {
		return "", err
	}
	if !table.Partitioned() {
		return fmt.Sprintf("not partitioned; atlasctl partition plan %s", t.Table), nil
	}
	return "", nil
}

func premake(ctx context.Context, db *pg.DB, t Table, o Options) (string, []pg.Finding, error) {
	if why, err := notPartitioned(ctx, db, t); err != nil || why != "" {
		return why, nil, errors.Join(err, skippedIf(why))
	}
	made, err := partitions.Premake(ctx, db, t.Spec, partitions.Options{Now: o.Now}, false)
	created := 0
	for _, row := range made.Rows {
		if row.Action != partitions.ActionExists {
			created++
		}
	}
	return fmt.Sprintf("%d partitions made", created), made.Findings, err
}

func skippedIf(why string) error {
	if why == "" {
		return nil
	}
	return errSkipped
}

func archiveExpired(ctx context.Context, db *pg.DB, t Table, o Options) (string, []pg.Finding, error) {
	if t.ArchiveAfter.IsZero() {
		return "no archive_after is configured", nil, errSkipped
	}
	done, err := archive.Run(ctx, db, t.Spec, archive.Options{
		OlderThan: t.ArchiveAfter, Children: t.Children, Now: o.Now, Log: db.Log, To: t.ArchiveTo, Store: o.Store, Version: o.Version,
	})
	var rows int64
	for _, row := range done.Rows {
		if row.Rows != nil {
			rows += *row.Rows
		}
	}
	return fmt.Sprintf("%d rows of %d ranges archived, older than %s", rows, len(done.Rows), done.Cutoff.Format(time.RFC3339)),
		done.Findings, err
}

// analyze gives the planner statistics of the partitioned table, and of its
// archive where there is one.
func analyze(ctx context.Context, db *pg.DB, t Table, _ Options) (string, []pg.Finding, error) {
	if why, err := notPartitioned(ctx, db, t); err != nil || why != "" {
		return why, nil, errors.Join(err, skippedIf(why))
	}
	roots := []pg.Name{t.Table}
	archived := t.Table.With(partitions.LeafName(t.Table.Table, "archive"))
	if table, err := partitions.Inspect(ctx, db, archived, t.Zone); err == nil && table.Partitioned() {
		roots = append(roots, archived)
	} else if err != nil && !errors.Is(err, partitions.ErrNoTable) {
		return "", nil, err
	}
	for _, root := range roots {
		// Autovacuum looks after the leaves.
		if err := db.RunOutside(ctx, "analyze "+root.String(), partitions.AnalyzeParentSQL(db, root)); err != nil {
			return "", nil, err
		}
	}
	return fmt.Sprintf("statistics of %d partitioned tables", len(roots)), nil, nil
}
