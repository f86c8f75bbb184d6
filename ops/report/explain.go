package report

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/param_types.sql
var paramTypesSQL string

// What EXPLAIN is asked for. VERBOSE names schemas and aliases.
const (
	explainOnly    = "EXPLAIN (FORMAT JSON, VERBOSE, SETTINGS, SUMMARY)\n"
	explainAnalyze = "EXPLAIN (FORMAT JSON, VERBOSE, SETTINGS, SUMMARY, ANALYZE, BUFFERS)\n"
)

// valueError: the catalogue and the database together give no value.
type valueError struct{ error }

func (e *valueError) Unwrap() error { return e.error }

// bound is a statement with its parameters.
type bound struct {
	sql   string
	types []uint32
	texts [][]byte
}

// explain plans a query as the application would. It plans twice and keeps the
// second: the first pays for loading the catalogs into a new session.
func (r *runner) explain(ctx context.Context, query Query) (outcome, error) {
	out := outcome{role: r.db.User}
	values, sampled, err := r.sample(ctx, query)
	if err != nil {
		return out, err
	}
	out.sampled = sampled
	texts, err := query.bind(values)
	if err != nil {
		return out, &valueError{err}
	}
	claims, err := query.claimsJSON(values)
	if err != nil {
		return out, &valueError{err}
	}
	err = undone(ctx, r.q, func() error {
		if _, err := r.q.Exec(ctx, applicationSettingsSQL, claims); err != nil {
			return err
		}
		b, err := r.typed(ctx, query, texts)
		if err != nil {
			return err
		}
		if out.role, err = r.assume(ctx, query.Role); err != nil {
			return err
		}
		out.raw, out.plan, err = r.explainTwice(ctx, query.ID, b)
		if err != nil {
			return err
		}
		out.tables, err = collect[touched](ctx, r.q, touchedSQL)
		return err
	})
	return out, err
}

// typed resolves the parameters' types in the application's search_path.
func (r *runner) typed(ctx context.Context, query Query, texts []string) (bound, error) {
	b := bound{sql: query.SQL}
	if len(texts) == 0 {
		return b, nil
	}
	names := make([]string, len(query.Params))
	for i, p := range query.Params {
		names[i] = p.Type
		b.texts = append(b.texts, []byte(texts[i]))
	}
	if err := r.q.QueryRow(ctx, paramTypesSQL, names).Scan(&b.types); err != nil {
		return b, err
	}
	if i := slices.Index(b.types, 0); i >= 0 {
		return b, &valueError{fmt.Errorf("params: number %d: type %q does not exist", i+1, names[i])}
	}
	return b, nil
}

// assume becomes the application's role until the savepoint is undone, or says
// in a notice why it can't.
func (r *runner) assume(ctx context.Context, role string) (string, error) {
	if role == roleNone {
		return r.db.User, nil
	}
	var err error
	if _, err = r.q.Exec(ctx, "SAVEPOINT role"); err != nil {
		return "", err
	}
	_, err = r.q.Exec(ctx, `SELECT pg_catalog.set_config('role', $1, true)`, role)
	if err == nil {
		return role, nil
	}
	if lost(err) {
		return "", err
	}
	r.notice("the role %s could not be taken, so its queries are planned as %s, without its row level security: %s",
		pg.Name{Table: role}, r.db.User, serverWords(err))
	_, err = r.q.Exec(ctx, "ROLLBACK TO SAVEPOINT role")
	return r.db.User, err
}

// explainTwice returns the second plan, with ANALYZE if it is asked for and
// the first shows no write.
func (r *runner) explainTwice(ctx context.Context, id string, b bound) ([]byte, explained, error) {
	raw, plan, err := r.explainOnce(ctx, explainOnly, b)
	if err != nil {
		return nil, plan, err
	}
	if !r.analyze || plan.Plan.writes() {
		return r.explainOnce(ctx, explainOnly, b)
	}
	var again []byte
	var analyzed explained
	err = undone(ctx, r.q, func() (err error) {
		again, analyzed, err = r.explainOnce(ctx, explainAnalyze, b)
		return err
	})
	if err == nil || lost(err) {
		return again, analyzed, err
	}
	r.notice("%s: could not be executed, so the plan is shown without ANALYZE: %s", id, serverWords(err))
	return raw, plan, nil
}

// explainOnce puts EXPLAIN before the statement, which is the user's own text
// and can't be a parameter. The extended protocol takes a single statement, so
// nothing can follow it.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
func (r *runner) explainOnce(ctx context.Context, how string, b bound) ([]byte, explained, error) {
	result := r.db.PgConn().ExecParams(ctx, how+b.sql, b.texts, b.types, nil, nil).Read()
	if result.Err != nil {
		return nil, explained{}, result.Err
	}
	if len(result.Rows) == 0 {
		return nil, explained{}, &valueError{errors.New("the statement has no plan: a rule replaces it by nothing")}
	}
	raw := bytes.Clone(result.Rows[0][0])
	plan, err := parsePlan(raw)
	if err != nil {
		return nil, plan, &valueError{err}
	}
	return raw, plan, nil
}

func (r *runner) notice(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.report.Notices, text) {
		r.report.Notices = append(r.report.Notices, text)
	}
}

// serverWords are the message, the hint and the code of an error about a
// statement of the catalogue.
func serverWords(err error) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err.Error()
	}
	switch text := fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code); {
	case e.Code == "42601" && e.Message == "cannot insert multiple commands into a prepared statement":
		return "more than one statement: write an entry for each"
	case e.Code == "42601":
		return text + ": not a statement that can be explained, or misspelt"
	case e.Hint != "":
		return text + "; hint: " + e.Hint
	default:
		return text
	}
}
