package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

var (
	//go:embed sql/export_unfinished.sql
	exportUnfinishedSQL string
	//go:embed sql/export_begin.sql
	exportBeginSQL string
	//go:embed sql/export_again.sql
	exportAgainSQL string
	//go:embed sql/export_look.sql
	exportLookSQL string
	//go:embed sql/export_finish.sql
	exportFinishSQL string
	//go:embed sql/export_discard.sql
	exportDiscardSQL string
	//go:embed sql/export_leaf.sql
	exportLeafSQL string
	//go:embed sql/origin.sql
	originSQL string
	//go:embed sql/leaf_users.sql
	leafUsersSQL string
)

// exportMove is a leaf that goes to files: one of the table or, for rows that
// had no expired leaf of their own, one of the archive's.
type exportMove struct {
	leafMove

	to      store.Store
	entry   *exportEntry // nil until it is begun
	row     int          // its place in the result
	written int64        // rows, for progress
}

// exportEntry is an unfinished export in the ledger.
type exportEntry struct {
	ID          string
	State       string
	Attempt     int
	ParentOID   uint32
	LeafOID     uint32
	LeafSchema  string
	LeafName    string
	LowerBound  *string
	UpperBound  *string
	Destination string
	Filenode    uint32
	Fingerprint string
	AsText      []string
	Rows        *int64
	Checksum    *string
	Manifest    *string
	ManifestKey *string
	ManifestSHA *string
	Fresh       bool // all files were read back within the last hour
}

func (e *exportEntry) span(k partitions.Key) (span, error) {
	return entry{LowerBound: e.LowerBound, UpperBound: e.UpperBound}.span(k)
}

// findExports decides what becomes of exports that a run did not finish. One
// whose leaf we have begun to detach goes on, wherever it goes; so does one that
// goes where this run is to bring things. Any other is given up, and so is one
// whose leaf somebody else has taken out of the table.
func (j *job) findExports(ctx context.Context) error {
	for _, e := range j.begun {
		x, st, err := j.foundExport(ctx, e)
		if err != nil {
			return err
		}
		if st == nil {
			j.gone = append(j.gone, e)
			continue
		}
		detached := st.Parent == 0
		switch {
		case st.Parent == j.live.OID:
			x.from = j.table()
		case j.arch != nil && st.Parent == j.arch.OID:
			x.from = parent{j.arch.Name, j.arch.OID}
		case !detached:
			j.strayBlocker(x.name, e.ID)
			continue
		}
		begun := e.State == StateLeaving && (detached || st.Pending)
		wanted := j.to != nil && j.to.String() == e.Destination && (e.State == StateSealed || x.expired(j.key, j.cutoff))
		if x.oid != j.live.OID && (begun || wanted && !detached && x.oid == e.LeafOID) {
			j.exports = append(j.exports, x)
		} else {
			j.given = append(j.given, x)
		}
	}
	return nil
}

// foundExport is the leaf of an unfinished export, by the triggers that were made
// for it, and where it stands; nil if there is none.
func (j *job) foundExport(ctx context.Context, e *exportEntry) (*exportMove, *leafState, error) {
	oid := uint32(0)
	err := j.db.QueryRow(ctx, exportLeafSQL, e.ID, e.LeafOID).Scan(&oid)
	if errors.Is(err, pgx.ErrNoRows) {
		// Without them it is the leaf only if it is where it was, under its name.
		err = j.db.QueryRow(ctx, `SELECT coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_inherits i ON i.inhrelid = c.oid
			WHERE c.oid = $1 AND n.nspname = $2 AND c.relname = $3 AND i.inhparent = $4), 0)::oid`,
			e.LeafOID, e.LeafSchema, e.LeafName, e.ParentOID).Scan(&oid)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look for the leaf of entry %s: %w", e.ID, err)
	}
	st, err := readLeaf(ctx, j.db, oid)
	if err != nil || st == nil {
		return nil, nil, err
	}
	s, err := e.span(j.key)
	if err != nil {
		return nil, nil, fmt.Errorf("entry %s of the archive's ledger: %w", e.ID, err)
	}
	x := &exportMove{
		leafMove: leafMove{home: home{s, pg.Name{Schema: st.Schema, Table: st.Name}, oid}, from: parent{j.live.Name, e.ParentOID}, id: e.ID, pending: st.Pending, rows: -1},
		entry:    e, row: -1,
	}
	if err := j.db.QueryRow(ctx, "SELECT pg_total_relation_size($1::oid)", oid).Scan(&x.bytes); err != nil {
		return nil, nil, fmt.Errorf("size of %s: %w", x.name, err)
	}
	return x, st, nil
}

// addExport takes a leaf that is to go to files.
func (j *job) addExport(l partitions.Leaf, from parent) *exportMove {
	return &exportMove{
		leafMove: leafMove{home: home{span{l.Lower, l.Upper}, l.Name, l.OID}, from: from, bytes: l.Bytes, rows: l.Rows},
		to:       j.to, row: -1,
	}
}

// archivedLeaves are the archive's leaves that go to files: those that are
// expired as a whole. They hold what had no expired leaf of its own, and what an
// earlier run archived in the database.
func (j *job) archivedLeaves(arch *partitions.Table) (all []*exportMove) {
	if j.to == nil || arch == nil {
		return nil
	}
	for _, l := range arch.Leaves {
		underway := slices.ContainsFunc(j.exports, func(x *exportMove) bool { return x.oid == l.OID })
		if l.Kind == "r" && !l.Default && !l.PendingDetach && !underway && (span{l.Lower, l.Upper}).expired(j.key, j.cutoff) {
			all = append(all, j.addExport(l, parent{arch.Name, arch.OID}))
		}
	}
	return all
}

// settleExports puts right what needs no work: exports whose leaf is gone. Once
// its detach was begun that is what they were to come to, and the answer to a
// COMMIT was lost.
func (j *job) settleExports(ctx context.Context) error {
	for _, e := range j.gone {
		sql := exportFinishSQL
		if e.State != StateLeaving {
			sql = "UPDATE atlasctl.archive SET state = 'lost', error = 'the leaf was dropped before it was detached', updated_at = clock_timestamp() WHERE id = $1"
			j.find(pg.Warn, "014", fmt.Sprintf("%s, which was being exported, is gone: somebody dropped it; its files may not hold all of its rows",
				pg.Name{Schema: e.LeafSchema, Table: e.LeafName}), map[string]any{"id": e.ID}, "")
		}
		if _, err := j.db.Exec(ctx, sql, e.ID); err != nil {
			return fmt.Errorf("settle the archive's ledger: %w", err)
		}
	}
	return nil
}

// mostAttempts is how often the files of a leaf are begun again because its
// rows change.
const mostAttempts = 3

// changedError is a leaf that is not what its files hold.
type changedError struct{ how string }

func (e *changedError) Error() string { return e.how }

// The triggers of a leaf that is being exported: first they leave a mark, once
// its files are read back they refuse.
const (
	rowGuard      = "atlasctl_export_rows"
	truncateGuard = "atlasctl_export_truncate"
	markFunction  = "archive_mark"
	sealFunction  = "archive_sealed"
)

// exportSteps are the life of a leaf on its way to files. What a death leaves
// behind after each of them:
//
//	guard    triggers that mark who changes a row, and the entry
//	write    files, each durable or named as not yet
//	publish  the manifest
//	read     all of them read back and matched
//	wait     nothing
//	seal     triggers that refuse: the rows are what the files hold, for good
//	leave    the ledger knows that the leaf is about to be detached, by us
//	detach   a pending detach, which is finished, or a leaf of its own
//	drop     all done; or, in one transaction, nothing
//
// Until it is detached the leaf is in the table, and its rows with it: a
// destination that is away for days costs nothing. From then on they are in the
// archive, which is what the ledger says together with the catalogs.
//
// The guard is why many short snapshots equal a long one: creating it waits for
// those who write, what they did is in every later snapshot, and what comes
// later leaves a mark.
func (j *job) exportSteps(x *exportMove) []step {
	steps := []step{j.guardStep(x), j.writeStep(x), j.publishStep(x), j.readStep(x), j.quietStep(x), j.sealStep(x), j.leaveStep(x)}
	if x.from.oid == j.live.OID && j.live.DefaultLeaf() != nil && !x.pending {
		steps = append(steps, j.detachAtOnceStep(x))
	} else {
		steps = append(steps, j.detachStep(&x.leafMove))
	}
	return append(steps, j.dropStep(x))
}

// reached says whether the entry is in one of these states.
func (x *exportMove) reached(states ...string) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		return x.entry != nil && slices.Contains(states, x.entry.State), nil
	}
}

// exportLeaf takes a leaf all the way, beginning anew where its rows change
// under way.
func (j *job) exportLeaf(ctx context.Context, x *exportMove) error {
	if x.to == nil {
		var err error
		if x.to, err = j.storeAt(ctx, x.entry.Destination); err != nil {
			return err
		}
	}
	if x.row < 0 {
		x.row = j.addRow(x.name, x.span, MethodExport, StateExporting)
	}
	row := &j.res.Rows[x.row]
	row.Method, row.Destination, row.State, row.Bytes = MethodExport, x.destination(), StateExporting, &x.bytes
	err := j.exportPatiently(ctx, x)
	if x.entry != nil {
		row.ID, row.State, row.Rows = x.entry.ID, x.entry.State, x.entry.Rows
	}
	switch {
	case err == nil:
	case x.entry != nil && (x.entry.State == StateSealed || x.entry.State == StateLeaving):
		j.moved = true // its writers notice
		err = pg.WithHint(err, fmt.Sprintf("%s refuses writes until the next run ends what this one began", x.name))
	default:
		err = pg.WithHint(err, fmt.Sprintf("the rows of %s are where they were, in %s; run the same command again to go on", x.name, x.from.name))
	}
	return err
}

func (j *job) exportPatiently(ctx context.Context, x *exportMove) error {
	for changes := 0; ; {
		err := j.walk(ctx, x.name, j.exportSteps(x))
		changed, isChange := errors.AsType[*changedError](err)
		value, isValue := errors.AsType[*pqfile.ValueError](err)
		switch {
		case isValue && !slices.Contains(x.entry.AsText, value.Column):
			j.o.Log.InfoContext(ctx, "a value does not fit: its column is kept as text", "partition", x.name.String(), "column", value.Column, "why", value.Why)
			if err := j.exportAgain(ctx, x, append(slices.Clone(x.entry.AsText), value.Column)); err != nil {
				return err
			}
		case isChange:
			if changes++; changes == mostAttempts {
				return pg.NotNowf("export %s: %s, %d times: somebody writes such old rows", x.name, changed.how, changes)
			}
			j.o.Log.InfoContext(ctx, "begun anew", "partition", x.name.String(), "why", changed.how)
			if err := j.exportAgain(ctx, x, x.entry.AsText); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// guardStep puts the triggers on the leaf and writes its entry.
func (j *job) guardStep(x *exportMove) step {
	id := newID(time.Now())
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())
	name := "guard " + x.name.String()
	sql := append(unguardSQL(x.name), guardSQL(x.name, id)...)
	return step{
		Step: partitions.Step{
			Name: name, Lock: "SHARE ROW EXCLUSIVE on " + x.name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, []string{lock}, sql),
		},
		done: func(context.Context) (bool, error) { return x.entry != nil, nil },
		run: func(ctx context.Context) error {
			if err := j.checkLeaf(ctx, j.db, x); err != nil {
				return err
			}
			schema, err := j.describe(ctx, j.db, x.oid, nil)
			if err != nil {
				return err
			}
			origin, err := readOrigin(ctx, j.db)
			if err != nil {
				return err
			}
			err = j.locked(ctx, pg.Locked{
				What: name, Locks: []string{lock}, Relations: []uint32{x.oid},
				Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
					_, err := q.Exec(ctx, exportBeginSQL, id, j.spec.Table.Schema, j.spec.Table.Table, j.live.OID,
						x.name.Schema, x.name.Table, x.oid, x.from.oid, ledgerText(x.lower), ledgerText(x.upper),
						x.to.String(), j.res.Cutoff, j.runID, schema.Fingerprint(), x.bytes, origin)
					return sql, err
				},
				Committed: func(ctx context.Context, q pg.Queryer) (exists bool, err error) {
					err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM atlasctl.archive WHERE id = $1)", id).Scan(&exists)
					return exists, err
				},
			})
			if err != nil {
				return err
			}
			all, err := unfinishedExports(ctx, j.db, j.spec.Table, j.live.OID)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(all, func(e *exportEntry) bool { return e.ID == id })
			if i < 0 {
				return fmt.Errorf("entry %s is gone from the archive's ledger", id)
			}
			x.entry, x.id = all[i], id
			return nil
		},
	}
}

// guardSQL makes every change of the leaf's rows leave a mark, whoever makes
// it: a leaf's statement triggers don't fire for what comes through its parent,
// so they are row triggers; ALWAYS is for replication.
func guardSQL(leaf pg.Name, id string) []string {
	return triggersSQL(leaf, "AFTER", markFunction, id)
}

// sealSQL turns the guard of a leaf into its seal.
func sealSQL(leaf pg.Name, id string) []string {
	return append(unguardSQL(leaf), triggersSQL(leaf, "BEFORE", sealFunction, id)...)
}

func triggersSQL(leaf pg.Name, when, function, id string) []string {
	table := leaf.SQL()
	return []string{
		fmt.Sprintf("CREATE TRIGGER %s %s INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION atlasctl.%s(%s)", rowGuard, when, table, function, literal(id)),
		fmt.Sprintf("CREATE TRIGGER %s %s TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION atlasctl.%s(%s)", truncateGuard, when, table, function, literal(id)),
		fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s, ENABLE ALWAYS TRIGGER %s", table, rowGuard, truncateGuard),
	}
}

func unguardSQL(leaf pg.Name) []string {
	return []string{
		fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", rowGuard, leaf.SQL()),
		fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", truncateGuard, leaf.SQL()),
	}
}

// readOrigin is what an entry keeps of the database that wrote its files.
func readOrigin(ctx context.Context, q pg.Queryer) (origin string, err error) {
	if err := q.QueryRow(ctx, originSQL).Scan(&origin); err != nil {
		return "", fmt.Errorf("read what database this is: %w", err)
	}
	return origin, nil
}

// freeOfUsers finds what would keep the leaf from being dropped.
func (j *job) freeOfUsers(ctx context.Context, q pg.Queryer, x *exportMove) error {
	rows, err := q.Query(ctx, leafUsersSQL, x.oid)
	if err != nil {
		return fmt.Errorf("look for what uses %s: %w", x.name, err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for what uses %s: %w", x.name, err)
	}
	if len(users) > 0 {
		return pg.WithHint(fmt.Errorf("%s can't be dropped once it is exported, since this depends on it: %s", x.name, strings.Join(users, ", ")),
			fmt.Sprintf("make it depend on %s instead", x.from.name))
	}
	return nil
}

// checkLeaf finds what would keep the leaf from going, before it is begun.
func (j *job) checkLeaf(ctx context.Context, q pg.Queryer, x *exportMove) error {
	if err := j.freeOfUsers(ctx, q, x); err != nil {
		return err
	}
	where := j.within(x.span)
	if where == "" {
		return nil
	}
	// Attaching trusts a check; whoever has bent one may have rows elsewhere.
	var stray int64
	err := q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM ONLY %s WHERE (%s) IS NOT TRUE", x.name.SQL(), where)).Scan(&stray)
	if err != nil {
		return fmt.Errorf("look at the range of %s: %w", x.name, err)
	}
	if stray > 0 {
		return pg.WithHint(fmt.Errorf("%d rows of %s lie outside of its bounds: its range can't say what the files hold; nothing has changed", stray, x.name),
			fmt.Sprintf("SELECT * FROM ONLY %s WHERE (%s) IS NOT TRUE", x.name.SQL(), where))
	}
	return nil
}

// describe decides how the columns of a leaf are kept in files.
func (j *job) describe(ctx context.Context, q pg.Queryer, leaf uint32, asText []string) (pqfile.Schema, error) {
	return pqfile.Describe(ctx, q, leaf, pqfile.Options{Text: asText})
}

// unfinishedExports reads the exports of a table that a run did not finish; none
// where the ledger is older than exports.
func unfinishedExports(ctx context.Context, q pg.Queryer, table pg.Name, oid uint32) ([]*exportEntry, error) {
	var known bool
	if err := q.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive_file') IS NOT NULL").Scan(&known); err != nil || !known {
		return nil, err
	}
	rows, err := q.Query(ctx, exportUnfinishedSQL, table.Schema, table.Table, oid)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[exportEntry])
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	return all, nil
}

// unchanged asks, in a transaction that holds a lock on the leaf, whether its
// rows are still what its files hold, and whether the triggers that would tell
// are in force. function is the one that they call. Error: [*changedError].
func (j *job) unchanged(ctx context.Context, q pg.Queryer, x *exportMove, function string) error {
	var marks int64
	var filenode uint32
	var guards int
	if err := q.QueryRow(ctx, exportLookSQL, x.oid, x.entry.ID, function).Scan(&marks, &filenode, &guards); err != nil {
		return fmt.Errorf("look at %s: %w", x.name, err)
	}
	switch {
	case marks > 0:
		return &changedError{fmt.Sprintf("rows of %s changed", x.name)}
	case filenode != x.entry.Filenode:
		return &changedError{fmt.Sprintf("%s was rewritten", x.name)}
	case guards != 2:
		return &changedError{fmt.Sprintf("somebody dropped or disabled the triggers %s and %s of %s", rowGuard, truncateGuard, x.name)}
	}
	schema, err := j.describe(ctx, q, x.oid, x.entry.AsText)
	if err != nil {
		return err
	}
	if schema.Fingerprint() != x.entry.Fingerprint {
		return &changedError{fmt.Sprintf("columns of %s changed", x.name)}
	}
	return nil
}

// exportAgain voids the attempt and begins the next one, with the guard in
// force whoever has dropped it.
func (j *job) exportAgain(ctx context.Context, x *exportMove, asText []string) error {
	schema, err := j.describe(ctx, j.db, x.oid, asText)
	if err != nil {
		return err
	}
	attempt := x.entry.Attempt
	err = j.locked(ctx, pg.Locked{
		What: "begin the export of " + x.name.String() + " anew", Relations: []uint32{x.oid},
		Locks: []string{fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())},
		Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			st, err := j.state(ctx, q, &x.leafMove)
			if err != nil {
				return nil, err
			}
			if !x.attached(st) || st.Pending {
				return nil, fmt.Errorf("%s has left %s", x.name, x.from.name)
			}
			if _, err := q.Exec(ctx, exportDiscardSQL, x.entry.ID); err != nil {
				return nil, err
			}
			err = q.QueryRow(ctx, exportAgainSQL, x.entry.ID, schema.Fingerprint(), asText).Scan(&x.entry.Attempt, &x.entry.Filenode)
			return append(unguardSQL(x.name), guardSQL(x.name, x.entry.ID)...), err
		},
		Committed: func(ctx context.Context, q pg.Queryer) (done bool, err error) {
			err = q.QueryRow(ctx, "SELECT attempt > $2 FROM atlasctl.archive WHERE id = $1", x.entry.ID, attempt).Scan(&done)
			return done, err
		},
	})
	if err != nil {
		return err
	}
	x.entry.State, x.entry.AsText, x.entry.Fingerprint = StateExporting, asText, schema.Fingerprint()
	x.entry.Manifest, x.entry.ManifestKey, x.entry.ManifestSHA, x.entry.Fresh = nil, nil, nil, false
	x.entry.Rows, x.entry.Checksum = nil, nil
	return j.removeGarbage(ctx, x.to, x.entry.ID)
}

// storeAt opens a destination, once.
func (j *job) storeAt(ctx context.Context, destination string) (store.Store, error) {
	if st, ok := j.stores[destination]; ok {
		return st, nil
	}
	st, err := store.Open(ctx, destination, j.o.Store)
	if err != nil {
		return nil, err
	}
	if j.stores == nil {
		j.stores = map[string]store.Store{}
	}
	j.stores[destination], j.stores[st.String()] = st, st
	return st, nil
}
