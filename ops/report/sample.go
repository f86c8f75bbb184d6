package report

import (
	"context"
	"maps"
)

// sample gives a query's values: the clock's, its own, and, before all of
// them, those of the row that its sample finds. A sample that can't be run is
// a notice: the plan is then one for values that match nothing.
func (r *runner) sample(ctx context.Context, query Query) (v values, sampled bool, err error) {
	v = maps.Clone(r.clock)
	for name, value := range query.Values {
		if v[name], err = r.clock.resolve(string(value)); err != nil {
			return nil, false, &valueError{err}
		}
	}
	if query.Sample == "" {
		return v, false, nil
	}
	row, known := r.samples[query.Sample]
	if !known {
		if row, err = r.sampleRow(ctx, query.Sample); err != nil {
			if lost(err) {
				return nil, false, err
			}
			if verdict, _ := refused(err, 0); verdict != Absent { // the query's own verdict says that
				r.notice("%s: no sample values, so the literal ones are planned: %s", query.ID, serverWords(err))
			}
		}
		r.samples[query.Sample] = row
	}
	maps.Copy(v, row)
	return v, len(row) > 0, nil
}

// sampleRow fetches one row of a statement, through a cursor: what comes after
// the first row is never computed, and only a statement that reads can have one.
func (r *runner) sampleRow(ctx context.Context, sql string) (values, error) {
	row := values{}
	err := undone(ctx, r.q, func() error {
		if _, err := r.q.Exec(ctx, applicationSettingsSQL, ""); err != nil {
			return err
		}
		// Rows that a policy hides would be missing without a word.
		if _, err := r.q.Exec(ctx, `SELECT pg_catalog.set_config('row_security', 'off', true)`); err != nil {
			return err
		}
		declare := "DECLARE atlasctl_sample NO SCROLL CURSOR FOR\n" + sql
		if err := r.db.PgConn().ExecParams(ctx, declare, nil, nil, nil, nil).Read().Err; err != nil {
			return err
		}
		result := r.db.PgConn().ExecParams(ctx, "FETCH 1 FROM atlasctl_sample", nil, nil, nil, nil).Read()
		if result.Err != nil || len(result.Rows) == 0 {
			return result.Err
		}
		for i, value := range result.Rows[0] {
			if value != nil {
				row[result.FieldDescriptions[i].Name] = string(value)
			}
		}
		return nil
	})
	return row, err
}
