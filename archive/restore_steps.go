package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// intoLeaf makes the range a leaf of the table again, out of its files.
func (r *restoration) intoLeaf(ctx context.Context) ([]step, error) {
	if err := r.sameColumns(ctx, r.live.OID, r.live.Name); err != nil || r.blocked() {
		return nil, err
	}
	wanted := r.first.leaf()
	if period, ok := strings.CutPrefix(wanted.Table, r.dest.Table+"_"); ok { // it went by way of the archive's table
		wanted = wanted.With(partitions.LeafName(r.spec.Table.Table, period))
	}
	leaf, err := r.freeLeaf(ctx, wanted)
	if err != nil {
		return nil, err
	}
	filled, err := partitions.FilledLeaf(ctx, r.db, r.live, leaf, boundSQL(r.span.lower, "MINVALUE"), boundSQL(r.span.upper, "MAXVALUE"))
	if err != nil {
		return nil, err
	}
	r.staging = leaf
	constraints, err := r.constraintSteps(ctx, leaf)
	if err != nil {
		return nil, err
	}
	steps := append([]step{r.makeStep(filled.Make, true), r.loadStep(r.writable()), r.compareStep(), r.boundStep(leaf)}, constraints...)
	return append(steps, r.analyzeStep(leaf), r.arriveStep("attach "+leaf.String(), filled.Locks,
		append(filled.Attach, dropChecksSQL(leaf)))), nil
}

// intoArchive makes the range a leaf of the archive's table.
func (r *restoration) intoArchive(ctx context.Context) ([]step, error) {
	if err := r.sameColumns(ctx, r.live.OID, r.live.Name); err != nil || r.blocked() {
		return nil, err
	}
	if r.arch != nil {
		cols, err := readColumns(ctx, r.db, r.arch.OID)
		if err != nil {
			return nil, err
		}
		if r.driftBlockers(cols); r.blocked() {
			return nil, nil
		}
		for _, l := range r.arch.Leaves {
			if s := (span{l.Lower, l.Upper}); s.overlaps(r.key, r.span) {
				r.block("041", fmt.Sprintf("%s has part of the range already, in %s", r.dest, l.Name), map[string]any{"partition": l.Name.String()},
					"--into TABLE brings the rows back into a table of their own")
				return nil, nil
			}
		}
	}
	wanted := r.dest.With(r.first.LeafName)
	if period, ok := strings.CutPrefix(r.first.LeafName, r.spec.Table.Table+"_"); ok && !strings.HasPrefix(r.first.LeafName, r.dest.Table+"_") {
		wanted = r.dest.With(partitions.LeafName(r.dest.Table, period))
	}
	leaf, err := r.freeLeaf(ctx, wanted)
	if err != nil {
		return nil, err
	}
	r.staging = leaf
	sql := r.leafSQL(leaf, r.span)
	attach := sql[len(sql)-1]
	return []step{
		r.archiveStep(), r.makeStep(sql[:len(sql)-1], true), r.loadStep(r.writable()), r.compareStep(), r.boundStep(leaf), r.analyzeStep(leaf),
		r.arriveStep("attach "+leaf.String(), []string{fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE", r.dest.SQL())},
			[]string{attach, dropChecksSQL(leaf)}),
	}, nil
}

// intoRows puts the rows back into what covers their range: a plain table, or
// the leaf that they were taken out of.
func (r *restoration) intoRows(ctx context.Context) ([]step, error) {
	if err := r.sameColumns(ctx, r.live.OID, r.live.Name); err != nil || r.blocked() {
		return nil, err
	}
	triggers, err := r.insertTriggers(ctx)
	if err != nil {
		return nil, err
	}
	if triggers != "" {
		r.find(pg.Warn, "044", fmt.Sprintf("rows are inserted into %s one by one, and its triggers fire: %s", r.live.Name, triggers), nil, "")
	}
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE", r.live.Name.SQL())
	if r.first.Method != MethodExport {
		leaf := r.first.leaf()
		r.staging = leaf
		return []step{r.putStep([]string{lock, fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", leaf.SQL())}, []string{
			fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", r.dest.SQL(), leaf.SQL()),
			"DROP TABLE " + leaf.SQL(),
		})}, nil
	}
	r.staging = r.stagingName(r.spec.Table.Schema)
	table := r.staging.SQL()
	create := append([]string{fmt.Sprintf("CREATE UNLOGGED TABLE %s (LIKE %s INCLUDING GENERATED)", table, r.live.Name.SQL())}, r.closed(r.staging)...)
	return []step{
		r.makeStep(create, false), r.loadStep(r.writable()), r.compareStep(), r.putStep([]string{lock}, []string{"DROP TABLE " + table}),
	}, nil
}

// putStep inserts the rows into the live table, and compares what has arrived
// there, whatever its triggers have made of it, before anybody sees it.
func (r *restoration) putStep(locks, after []string) step {
	name := "put rows back into " + r.live.Name.String()
	columns := pg.Idents(r.writable())
	insert := fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM ONLY %s", r.live.Name.SQL(), columns, columns, r.staging.SQL())
	s := r.arriveStep(name, locks, append([]string{insert}, after...))
	s.run = func(ctx context.Context) error {
		expected, err := r.expected(ctx)
		if err != nil {
			return err
		}
		schema, err := r.archivedSchema(ctx)
		if err != nil {
			return err
		}
		return r.arrive(ctx, name, locks, func(ctx context.Context, q pg.Queryer) ([]string, error) {
			for _, sql := range pqfile.Settings() {
				if _, err := q.Exec(ctx, sql); err != nil {
					return nil, err
				}
			}
			summer := pqfile.NewSummer(schema)
			if _, err := r.db.PgConn().CopyTo(ctx, summer, fmt.Sprintf("COPY (%s RETURNING %s) TO STDOUT (FORMAT binary)", insert, schema.SelectList())); err != nil {
				return nil, err
			}
			got, err := summer.Sum()
			if err != nil {
				return nil, err
			}
			if got != expected {
				return nil, pg.WithHint(fmt.Errorf("%d rows with checksum %s arrived in %s, and %d with %s were archived: its triggers or rules keep or change them; nothing has changed",
					got.Rows(), got, r.live.Name, expected.Rows(), expected), "--into TABLE brings the rows back into a table of their own")
			}
			rows, sum := got.Rows(), got.String()
			r.out.Rows, r.out.Checksum = &rows, &sum
			return after, nil
		})
	}
	return s
}

// archivedSchema are the archived columns, and how each is kept.
func (r *restoration) archivedSchema(ctx context.Context) (pqfile.Schema, error) {
	if r.first.Method == MethodExport {
		return pqfile.Schema{Columns: r.manifest.Columns}, nil
	}
	return r.describe(ctx, r.db, r.first.LeafOID, nil)
}

// intoTable copies the rows into a table of their own. They stay archived.
func (r *restoration) intoTable(ctx context.Context) ([]step, error) {
	if _, err := pg.ParseName(r.o.Into); err != nil {
		return nil, pg.Usagef("--into: %w", err)
	}
	name := r.target()
	r.parts = []record{r.first}
	r.out.Into = name.String()
	var there uint32
	if err := r.db.QueryRow(ctx, "SELECT coalesce(to_regclass($1)::oid, 0)", name.SQL()).Scan(&there); err != nil {
		return nil, fmt.Errorf("look for %s: %w", name, err)
	}
	if there != 0 {
		return nil, r.isAlready(ctx, name, there)
	}
	r.staging = r.stagingName(name.Schema)
	create := fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING COMMENTS INCLUDING COMPRESSION INCLUDING STORAGE)", r.staging.SQL(), r.first.leaf().SQL())
	if r.first.Method == MethodExport {
		create = r.manifest.createSQL(r.staging)
	}
	return []step{
		r.makeStep(append([]string{create}, r.closed(r.staging)...), false), r.loadStep(nil), r.compareStep(), r.analyzeStep(r.staging),
		r.renameStep(name),
	}, nil
}

// createSQL makes a table of the archived columns, the computed ones as plain
// ones.
func (m Manifest) createSQL(table pg.Name) string {
	var columns []string
	for _, c := range m.Columns {
		column := pg.Ident(c.Name) + " " + c.Type
		if c.Collation != "" {
			column += " COLLATE " + c.Collation
		}
		columns = append(columns, column)
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)", table.SQL(), strings.Join(columns, ", "))
}

// isAlready blocks, unless the table holds just what it would be made to hold.
func (r *restoration) isAlready(ctx context.Context, name pg.Name, oid uint32) error {
	expected, err := r.expected(ctx)
	if err != nil {
		return err
	}
	if err := r.sameColumns(ctx, oid, name); err != nil {
		return err
	}
	if !r.blocked() {
		got, err := r.sumOf(ctx, name)
		if err != nil {
			return err
		}
		if got == expected {
			sum := got.String()
			r.out.State, r.out.Checksum = StateRestored, &sum
			return nil
		}
	}
	r.res.Findings = nil
	r.block("045", fmt.Sprintf("%s exists and does not hold just the rows of entry %s", name, r.first.ID), nil, "name another table, or drop it")
	return nil
}

// writable are the columns that rows are sent to: of those that were archived
// the ones that the server does not compute.
func (r *restoration) writable() (names []string) {
	archived := func(name string) bool {
		for _, c := range r.manifest.Columns {
			if c.Name == name {
				return true
			}
		}
		return r.first.Method != MethodExport
	}
	for _, name := range r.moving() {
		if archived(name) {
			names = append(names, name)
		}
	}
	return names
}

// insertTriggers are the table's own that fire for each row put back.
func (r *restoration) insertTriggers(ctx context.Context) (names string, err error) {
	err = r.db.QueryRow(ctx, `SELECT coalesce(string_agg(tgname, ', ' ORDER BY tgname), '') FROM pg_trigger
		WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 5 = 5 AND tgname NOT LIKE 'ATLASCTL\_%'`, r.live.OID).Scan(&names)
	if err != nil {
		return "", fmt.Errorf("read the triggers of %s: %w", r.live.Name, err)
	}
	return names, nil
}

// freeLeaf is a name for the leaf: the one it had, if nobody has it now.
func (r *restoration) freeLeaf(ctx context.Context, wanted pg.Name) (pg.Name, error) {
	ours := r.first.State == StateRestoring && r.first.RestoredTo != nil
	for i := 1; ; i++ {
		name := wanted
		if i > 1 {
			name = wanted.With(partitions.LeafName(wanted.Table, fmt.Sprintf("restored%d", i)))
		}
		if ours && *r.first.RestoredTo == name.SQL() {
			return name, nil // what a killed run has left, and the next one drops
		}
		var used bool
		if err := r.db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name.SQL()).Scan(&used); err != nil || !used {
			return name, err
		}
	}
}

// makeStep makes the table that rows are loaded into; named says that it is to
// stay under its name, so that the ledger has to tell whose it is.
func (r *restoration) makeStep(sql []string, named bool) step {
	name := "make " + r.staging.String()
	s := step{Step: partitions.Step{Name: name, Reversible: true, SQL: transaction(r.db.LockTimeout, nil, sql)}}
	if named {
		sql = append(sql, fmt.Sprintf("UPDATE atlasctl.archive SET state = %s, restored_to = %s, staging_oid = %s::pg_catalog.regclass WHERE id = %s",
			literal(StateRestoring), literal(r.staging.SQL()), literal(r.staging.SQL()), literal(r.first.ID)))
	}
	s.run = func(ctx context.Context) error {
		return r.locked(ctx, pg.Locked{
			What: name, Body: pg.Fixed(sql...),
			Committed: func(ctx context.Context, q pg.Queryer) (made bool, err error) {
				err = q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", r.staging.SQL()).Scan(&made)
				return made, err
			},
		})
	}
	return s
}

// loadStep loads the rows: these columns of them, or all.
func (r *restoration) loadStep(columns []string) step {
	s := step{Step: partitions.Step{Name: "load " + r.staging.String(), Reversible: true}}
	if r.first.Method != MethodExport {
		sql := fmt.Sprintf("INSERT INTO %s SELECT * FROM ONLY %s", r.staging.SQL(), r.first.leaf().SQL())
		s.SQL = []string{sql}
		s.run = func(ctx context.Context) error { return r.db.RunOutside(ctx, s.Name, sql) }
		return s
	}
	if columns == nil {
		for _, c := range r.manifest.Columns {
			columns = append(columns, c.Name)
		}
	}
	s.Files = true
	s.SQL = []string{fmt.Sprintf("COPY %s (%s) FROM STDIN", r.staging.SQL(), pg.Idents(columns))}
	s.run = func(ctx context.Context) error {
		var loaded int64
		for _, p := range r.parts {
			st, err := r.storeAt(ctx, p.Destination)
			if err != nil {
				return err
			}
			files, err := readFiles(ctx, r.db, p.ID, p.Attempt)
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := r.loadFile(ctx, st, f, columns); err != nil {
					err = fmt.Errorf("load %s/%s: %w", st, f.Key, err)
					if strings.HasPrefix(pg.Code(err), "2") { // data or integrity: the table is another one now
						err = pg.WithHint(err, "the range stays archived; --into TABLE brings its rows back into a table of their own")
					}
					return err
				}
				loaded += *f.Rows
				r.tell(Progress{Partition: r.staging, Step: "load files", Rows: loaded})
				if err := r.place("file loaded"); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return s
}

func (r *restoration) loadFile(ctx context.Context, st store.Store, f file, columns []string) (err error) {
	got, err := fetch(ctx, st, f.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, got.close()) }()
	if got.size != *f.Bytes || got.sha256 != *f.SHA256 {
		return &mismatchError{f.Key, "SHA-256", *f.SHA256, got.sha256}
	}
	from, err := pqfile.NewReader(got, got.size)
	if err != nil {
		return err
	}
	tx, err := r.db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing to undo after COMMIT
	for _, sql := range pqfile.Settings() {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := copyIn(ctx, tx.Conn().PgConn(), from, r.staging.SQL(), columns); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// compareStep reads the loaded rows back from the server: they are what left.
func (r *restoration) compareStep() step {
	return step{
		Step: partitions.Step{Name: "compare " + r.staging.String(), Scans: true, Reversible: true},
		run: func(ctx context.Context) error {
			expected, err := r.expected(ctx)
			if err != nil {
				return err
			}
			got, err := r.sumOf(ctx, r.staging)
			if err != nil {
				return err
			}
			if got != expected {
				return fmt.Errorf("%s has %d rows with checksum %s, and %d with %s were archived; nothing has changed but that this table is there",
					r.staging, got.Rows(), got, expected.Rows(), expected)
			}
			rows, sum := got.Rows(), got.String()
			r.out.Rows, r.out.Checksum = &rows, &sum
			return nil
		},
	}
}

// expected is the checksum of what was archived.
func (r *restoration) expected(ctx context.Context) (sum pqfile.Sum, err error) {
	if r.first.Method != MethodExport {
		return r.sumOf(ctx, r.first.leaf())
	}
	for _, p := range r.parts {
		if p.Checksum == nil || p.Rows == nil {
			return sum, fmt.Errorf("entry %s of the archive's ledger has no checksum", p.ID)
		}
		one, err := pqfile.ParseSum(*p.Rows, *p.Checksum)
		if err != nil {
			return sum, fmt.Errorf("entry %s of the archive's ledger: %w", p.ID, err)
		}
		sum.Merge(one)
	}
	return sum, nil
}

// sumOf is the checksum of the archived columns of a table's rows.
func (r *restoration) sumOf(ctx context.Context, table pg.Name) (sum pqfile.Sum, err error) {
	schema, err := r.archivedSchema(ctx)
	if err != nil {
		return sum, err
	}
	return sumOfTable(ctx, r.db, schema, table)
}

func sumOfTable(ctx context.Context, db *pg.DB, schema pqfile.Schema, table pg.Name) (sum pqfile.Sum, err error) {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly})
	if err != nil {
		return sum, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has only read
	for _, sql := range pqfile.Settings() {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return sum, err
		}
	}
	summer := pqfile.NewSummer(schema)
	if _, err := tx.Conn().PgConn().CopyTo(ctx, summer, copySQL(schema, table, 0, nil)); err != nil {
		return sum, fmt.Errorf("read %s back: %w", table, err)
	}
	return summer.Sum()
}

// boundStep proves the range of a table that nobody sees yet, so that attaching
// it has nothing to scan.
func (r *restoration) boundStep(leaf pg.Name) step {
	where := pg.Ident(r.key.Column) + " IS NOT NULL"
	if in := r.within(r.span); in != "" {
		where += " AND " + in
	}
	sql := fmt.Sprintf("ALTER TABLE ONLY %s ADD CONSTRAINT %s CHECK (%s)", leaf.SQL(), pg.Ident(rangeCheck), where)
	name := "prove the bounds of " + leaf.String()
	return step{
		Step: partitions.Step{Name: name, Scans: true, Reversible: true, SQL: []string{sql}},
		run:  func(ctx context.Context) error { return r.db.RunOutside(ctx, name, sql) },
	}
}

func (r *restoration) analyzeStep(table pg.Name) step {
	name, sql := "analyze "+table.String(), "ANALYZE "+table.SQL()
	return step{
		Step: partitions.Step{Name: name, Reversible: true, SQL: []string{sql}},
		run:  func(ctx context.Context) error { return r.db.RunOutside(ctx, name, sql) },
	}
}

// constraint is one of the table's checks and foreign keys.
type constraint struct {
	Name       string
	Definition string
	Referenced string // the table that a foreign key references; "" for a check
	Valid      bool
}

// constraintSteps give a leaf the table's checks and foreign keys before it is
// attached: attaching wants the checks to be there, and would look at the foreign
// keys under a lock that stops the writers of the tables that they reference.
func (r *restoration) constraintSteps(ctx context.Context, leaf pg.Name) ([]step, error) {
	rows, err := r.db.Query(ctx, `SELECT k.conname::text, pg_get_constraintdef(k.oid), CASE WHEN c.oid IS NULL THEN '' ELSE format('%I.%I', n.nspname, c.relname) END, k.convalidated
		FROM pg_constraint k LEFT JOIN pg_class c ON c.oid = k.confrelid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE k.conrelid = $1 AND k.contype IN ('c', 'f') AND k.conparentid = 0 ORDER BY k.contype, 1`, r.live.OID)
	if err != nil {
		return nil, fmt.Errorf("read the constraints of %s: %w", r.live.Name, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[constraint])
	if err != nil {
		return nil, fmt.Errorf("read the constraints of %s: %w", r.live.Name, err)
	}
	var steps []step
	for _, k := range all {
		steps = append(steps, r.addStep(leaf, k))
		if k.Valid {
			steps = append(steps, r.validateStep(leaf, k))
		}
	}
	return steps, nil
}

// addStep adds a constraint without looking at the rows.
func (r *restoration) addStep(leaf pg.Name, k constraint) step {
	add := fmt.Sprintf("ALTER TABLE ONLY %s ADD CONSTRAINT %s %s NOT VALID", leaf.SQL(), pg.Ident(k.Name), strings.TrimSuffix(k.Definition, " NOT VALID"))
	s := step{
		Step: partitions.Step{Name: "add " + pg.Ident(k.Name) + " to " + leaf.String(), Reversible: true},
		done: func(ctx context.Context) (bool, error) { return r.hasConstraint(leaf, k.Name)(ctx, r.db) },
	}
	var locks []string
	if k.Referenced != "" {
		s.Lock = "SHARE ROW EXCLUSIVE on " + k.Referenced
		locks = []string{fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", k.Referenced)}
	}
	s.SQL = transaction(r.db.LockTimeout, locks, []string{add})
	s.run = func(ctx context.Context) error {
		return r.locked(ctx, pg.Locked{What: s.Name, Locks: locks, Body: pg.Fixed(add), Committed: r.hasConstraint(leaf, k.Name)})
	}
	return s
}

// validateStep looks at the rows, which nobody sees yet.
func (r *restoration) validateStep(leaf pg.Name, k constraint) step {
	sql := fmt.Sprintf("ALTER TABLE ONLY %s VALIDATE CONSTRAINT %s", leaf.SQL(), pg.Ident(k.Name))
	name := "validate " + pg.Ident(k.Name) + " of " + leaf.String()
	return step{
		Step: partitions.Step{Name: name, Scans: true, Reversible: true, SQL: []string{sql}},
		run: func(ctx context.Context) error {
			err := r.db.RunOutside(ctx, name, sql)
			if err != nil && r.first.Method != MethodExport && r.first.State == StateArchived {
				err = errors.Join(err, r.dropConstraint(context.WithoutCancel(ctx), leaf, k))
			}
			const instead = "--into TABLE brings the rows back into a table of their own"
			switch pg.Code(err) {
			case pg.CodeForeignKeyViolation:
				return pg.WithHint(fmt.Errorf("archived rows refer by %s to rows of %s that have gone since; the range stays archived", k.Name, k.Referenced),
					instead+"; or put back what they refer to")
			case pg.CodeCheckViolation:
				return pg.WithHint(fmt.Errorf("archived rows violate %s of %s, which has come since; the range stays archived", k.Name, r.live.Name), instead)
			default:
				return err
			}
		},
	}
}

// dropConstraint takes off again what addStep has added: the leaf goes on in the
// archive without it.
func (r *restoration) dropConstraint(ctx context.Context, leaf pg.Name, k constraint) error {
	var locks []string
	if k.Referenced != "" {
		locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", k.Referenced))
	}
	has := r.hasConstraint(leaf, k.Name)
	return r.locked(ctx, pg.Locked{
		What:      "drop " + pg.Ident(k.Name) + " of " + leaf.String(),
		Locks:     append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", leaf.SQL())),
		Body:      pg.Fixed(fmt.Sprintf("ALTER TABLE ONLY %s DROP CONSTRAINT %s", leaf.SQL(), pg.Ident(k.Name))),
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) { is, err := has(ctx, q); return !is, err },
	})
}

func (r *restoration) hasConstraint(table pg.Name, name string) func(context.Context, pg.Queryer) (bool, error) {
	return func(ctx context.Context, q pg.Queryer) (has bool, err error) {
		err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2)", table.SQL(), name).Scan(&has)
		return has, err
	}
}

// arriveStep makes the rows visible where they go, and says in the ledger that
// they have left the archive: one transaction.
func (r *restoration) arriveStep(name string, locks, sql []string) step {
	return step{
		Step: partitions.Step{Name: name, Lock: lockNames(locks), SQL: transaction(r.db.LockTimeout, locks, sql)},
		run:  func(ctx context.Context) error { return r.arrive(ctx, name, locks, pg.Fixed(sql...)) },
	}
}

func (r *restoration) arrive(ctx context.Context, name string, locks []string, body func(context.Context, pg.Queryer) ([]string, error)) error {
	held, err := r.db.RunLocked(ctx, pg.Locked{ // without a timeout: rows may have to be inserted
		What: name, Locks: locks, Relations: []uint32{r.live.OID},
		Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			sql, err := body(ctx, q)
			if err != nil {
				return nil, err
			}
			return sql, r.recordArrival(ctx, q)
		},
		Committed: func(ctx context.Context, q pg.Queryer) (restored bool, err error) {
			err = q.QueryRow(ctx, "SELECT state = $2 FROM atlasctl.archive WHERE id = $1", r.first.ID, StateRestored).Scan(&restored)
			return restored, err
		},
	})
	r.held = r.held.Add(held)
	if err == nil {
		r.out.State = StateRestored
	}
	return err
}

// lockNames is for people: what the statements lock.
func lockNames(locks []string) string {
	names := make([]string, len(locks))
	for i, l := range locks {
		names[i] = strings.TrimPrefix(l, "LOCK TABLE ONLY ")
	}
	return strings.Join(names, "; ")
}

// recordArrival closes the entries. What went into the archive's table has an
// entry there from now on.
func (r *restoration) recordArrival(ctx context.Context, q pg.Queryer) error {
	for _, p := range r.parts {
		_, err := q.Exec(ctx, "UPDATE atlasctl.archive SET state = $2, restored_to = $3, staging_oid = NULL, updated_at = clock_timestamp() WHERE id = $1", p.ID, StateRestored, r.o.Into)
		if err != nil {
			return fmt.Errorf("write the archive's ledger: %w", err)
		}
	}
	if r.o.Into != IntoArchive {
		return nil
	}
	var oid uint32
	if err := q.QueryRow(ctx, "SELECT to_regclass($1)::oid", r.staging.SQL()).Scan(&oid); err != nil {
		return fmt.Errorf("look for %s: %w", r.staging, err)
	}
	r.res.Cutoff = r.first.Cutoff
	id, err := r.begin(ctx, q, home{r.span, r.staging, oid}, MethodRows, r.out.Rows)
	if err != nil {
		return err
	}
	if _, err := r.finish(ctx, q, id); err != nil {
		return err
	}
	schema, err := r.describe(ctx, q, oid, nil)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, "UPDATE atlasctl.archive SET checksum = $2, fingerprint = $3 WHERE id = $1", id, r.out.Checksum, schema.Fingerprint())
	return err
}

// renameStep gives the loaded table its name.
func (r *restoration) renameStep(to pg.Name) step {
	sql := []string{fmt.Sprintf("ALTER TABLE %s RENAME TO %s", r.staging.SQL(), pg.Ident(to.Table))}
	name := "name " + to.String()
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", r.staging.SQL())
	return step{
		Step: partitions.Step{Name: name, Reversible: true, SQL: transaction(r.db.LockTimeout, []string{lock}, sql)},
		run: func(ctx context.Context) error {
			err := r.locked(ctx, pg.Locked{
				What: name, Locks: []string{lock}, Body: pg.Fixed(sql...),
				Committed: func(ctx context.Context, q pg.Queryer) (named bool, err error) {
					err = q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", to.SQL()).Scan(&named)
					return named, err
				},
			})
			if err == nil {
				r.out.State = StateRestored
			}
			return err
		},
	}
}

// leafBack gives a leaf of the archive back to the table, without copying a row.
// What attaching it wants is proven while it is still the archive's.
func (r *restoration) leafBack(ctx context.Context) ([]step, error) {
	m, st, err := r.archivedLeaf(ctx)
	if err != nil || r.blocked() {
		return nil, err
	}
	if err := r.sameColumns(ctx, r.live.OID, r.live.Name); err != nil || r.blocked() {
		return nil, err
	}
	if r.leafDrift(ctx, m); r.blocked() {
		return nil, nil
	}
	filled, err := partitions.FilledLeaf(ctx, r.db, r.live, m.name, boundSQL(r.span.lower, "MINVALUE"), boundSQL(r.span.upper, "MAXVALUE"))
	if err != nil {
		return nil, err
	}
	constraints, err := r.constraintSteps(ctx, m.name)
	if err != nil {
		return nil, err
	}
	begin := step{
		Step: partitions.Step{Name: "record " + m.name.String()},
		done: func(context.Context) (bool, error) { return st.Parent == 0, nil },
		run: func(ctx context.Context) error {
			_, err := r.db.Exec(ctx, "UPDATE atlasctl.archive SET state = $2, restored_to = $3, updated_at = clock_timestamp() WHERE id = $1",
				r.first.ID, StateRestoring, IntoLive)
			return err
		},
	}
	locks := append([]string{fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", m.name.SQL())}, filled.Locks...)
	constraints = append(constraints, r.waitStep(m), begin, r.detachStep(m))
	return append(constraints, r.arriveStep("attach "+m.name.String(), locks, append(filled.Attach, dropChecksSQL(m.name)))), nil
}

// archivedLeaf is the leaf of an entry whose rows are in the archive's table, or
// on their way back from it.
func (r *restoration) archivedLeaf(ctx context.Context) (*leafMove, *leafState, error) {
	st, err := readLeaf(ctx, r.db, r.first.LeafOID)
	if err != nil {
		return nil, nil, err
	}
	if st == nil || r.arch == nil {
		r.block("040", fmt.Sprintf("%s, which holds the rows of entry %s, is gone", r.first.leaf(), r.first.ID), nil, "")
		return nil, nil, nil
	}
	leaf := pg.Name{Schema: st.Schema, Table: st.Name}
	if st.Parent != 0 && st.Parent != r.arch.OID || st.Parent == 0 && r.first.State != StateRestoring {
		r.strayBlocker(leaf, r.first.ID)
		return nil, nil, nil
	}
	return &leafMove{home: home{r.span, leaf, r.first.LeafOID}, from: parent{r.arch.Name, r.arch.OID}, id: r.first.ID, pending: st.Pending}, st, nil
}

// leafDrift are columns of the live table that the leaf lacks: attaching it wants
// all of them, and the archive's leaves have no defaults.
func (r *restoration) leafDrift(ctx context.Context, m *leafMove) {
	cols, err := readColumns(ctx, r.db, m.oid)
	if err != nil {
		r.block("043", err.Error(), nil, "")
		return
	}
	for _, c := range r.columns {
		switch l := findColumn(cols, c.Name); {
		case l == nil:
			r.block("043", fmt.Sprintf("column %s of %s is missing in %s", pg.Ident(c.Name), r.live.Name, m.name), map[string]any{"column": c.Name},
				fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", r.dest.SQL(), pg.Ident(c.Name), c.Type))
		case c.NotNull && !l.NotNull:
			r.block("043", fmt.Sprintf("column %s takes NULL in %s and not in %s", pg.Ident(c.Name), m.name, r.live.Name), map[string]any{"column": c.Name},
				fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", m.name.SQL(), pg.Ident(c.Name)))
		}
	}
}

// stayInArchive gives a leaf back to the archive's table that a killed run was
// about to take out of it.
func (r *restoration) stayInArchive(ctx context.Context) ([]step, error) {
	r.out.Checksum = r.first.Checksum
	if r.first.State != StateRestoring {
		r.out.State = StateArchived
		return nil, nil // it is there
	}
	m, st, err := r.archivedLeaf(ctx)
	if err != nil || r.blocked() {
		return nil, err
	}
	if st.Pending {
		r.block("009", fmt.Sprintf("the detach of %s from %s, which restoring it began, is not finished", m.name, r.dest), map[string]any{"partition": m.name.String()},
			"atlasctl archive restore "+r.first.ID+" finishes it, and brings the rows into the live table")
		return nil, nil
	}
	var sql []string
	if st.Parent == 0 {
		sql = r.arriveSQL(m, st)
	}
	sql = append(sql, fmt.Sprintf("UPDATE atlasctl.archive SET state = 'archived', restored_to = NULL WHERE id = %s", literal(r.first.ID)))
	name := "keep " + m.name.String() + " in " + r.dest.String()
	locks := []string{
		fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", m.name.SQL()),
		fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE", r.dest.SQL()),
	}
	return []step{{
		Step: partitions.Step{Name: name, Lock: lockNames(locks), Reversible: true, SQL: transaction(r.db.LockTimeout, locks, sql)},
		run: func(ctx context.Context) error {
			err := r.locked(ctx, pg.Locked{
				What: name, Locks: locks, Relations: []uint32{m.oid}, Body: pg.Fixed(sql...),
				Committed: func(ctx context.Context, q pg.Queryer) (bool, error) { return r.arrived(ctx, q, m) },
			})
			if err == nil {
				r.out.State = StateArchived
			}
			return err
		},
	}}, nil
}
