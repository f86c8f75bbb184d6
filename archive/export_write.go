package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// fileTarget is how much of a leaf, in bytes of heap and TOAST, goes into one
// file: it bounds how long a snapshot is held and how much is written again
// after a death.
const fileTarget = 512 << 20

// file is one of an attempt's.
type file struct {
	N         int
	Key       string
	FirstPage int64
	LastPage  *int64 // nil: to the end
	State     string
	Rows      *int64
	Bytes     *int64
	SHA256    *string
	Checksum  *string
}

// states of a file in the ledger.
const (
	fileWriting  = "writing"
	fileWritten  = "written"
	fileVerified = "verified"
	fileGarbage  = "garbage"
)

// writeStep writes the rows of the leaf, a range of pages a file. Each file is
// one short snapshot and is kept whatever happens to the ones after it.
func (j *job) writeStep(x *exportMove) step {
	return step{
		Step: partitions.Step{
			Name: "write " + x.name.String() + " to " + x.destination(), Lock: "ACCESS SHARE on " + x.name.String(), Scans: true, Reversible: true, Files: true,
			SQL: []string{copySQL(j.kept[x.from.oid], x.name, 0, nil)},
		},
		// A manifest is planned once all files are written.
		done: func(context.Context) (bool, error) {
			return x.entry != nil && (x.entry.State != StateExporting || x.entry.ManifestKey != nil), nil
		},
		run: func(ctx context.Context) error { return j.writeFiles(ctx, x) },
	}
}

// destination is where the leaf goes, for people.
func (x *exportMove) destination() string { return x.to.String() }

// prepareStore proves, before anything is begun, that the destination can do
// what is needed.
func (j *job) prepareStore(ctx context.Context, st store.Store) error {
	able, err := st.Probe(ctx)
	if err == nil {
		j.o.Log.DebugContext(ctx, "destination", "at", st.String(), "capabilities", fmt.Sprintf("%+v", able))
	}
	return err
}

// writeFiles writes what an earlier run has not.
func (j *job) writeFiles(ctx context.Context, x *exportMove) error {
	schema, err := j.describe(ctx, j.db, x.oid, x.entry.AsText)
	if err != nil {
		return err
	}
	if err := j.lookUnderLock(ctx, x, markFunction); err != nil {
		return err
	}
	done, err := j.keepWritten(ctx, x)
	if err != nil {
		return err
	}
	var pages, bytes int64
	err = j.db.QueryRow(ctx, `SELECT pg_relation_size($1::oid) / current_setting('block_size')::int8,
		pg_table_size($1::oid)`, x.oid).Scan(&pages, &bytes)
	if err != nil {
		return fmt.Errorf("size of %s: %w", x.name, err)
	}
	if err := j.roomFor(ctx, x, bytes); err != nil {
		return err
	}
	perFile := max(1, int64(float64(cmp.Or(j.o.perFile, fileTarget))/(float64(max(bytes, 1))/float64(max(pages, 1)))))
	first, n := int64(0), 0
	x.written = 0
	for _, f := range done {
		x.written += *f.Rows
		if f.LastPage == nil {
			return nil
		}
		first = *f.LastPage
	}
	if err := j.db.QueryRow(ctx, "SELECT coalesce(max(n), 0) FROM atlasctl.archive_file WHERE archive_id = $1", x.entry.ID).Scan(&n); err != nil {
		return fmt.Errorf("read the archive's ledger: %w", err)
	}
	for {
		n++
		f := file{N: n, Key: fmt.Sprintf("%s/part-%05d.parquet", j.dir(x), n), FirstPage: first}
		if next := first + perFile; next < pages {
			f.LastPage = &next
		}
		if err := j.writeFile(ctx, x, schema, f); err != nil {
			return err
		}
		if f.LastPage == nil {
			return nil
		}
		first = *f.LastPage
	}
}

// keepWritten returns the attempt's files that are durable, in order, and makes
// garbage of one that a dead run may have left half.
func (j *job) keepWritten(ctx context.Context, x *exportMove) ([]file, error) {
	_, err := j.db.Exec(ctx, "UPDATE atlasctl.archive_file SET state = $2 WHERE archive_id = $1 AND state = $3", x.entry.ID, fileGarbage, fileWriting)
	if err != nil {
		return nil, fmt.Errorf("write the archive's ledger: %w", err)
	}
	if err := j.removeGarbage(ctx, x.to, x.entry.ID); err != nil {
		return nil, err
	}
	return readFiles(ctx, j.db, x.entry.ID, x.entry.Attempt)
}

// readFiles returns the files of an attempt that are durable, by page.
func readFiles(ctx context.Context, q pg.Queryer, id string, attempt int) ([]file, error) {
	rows, err := q.Query(ctx, `SELECT n, key, coalesce(first_page, 0) AS first_page, last_page, state, rows, bytes, sha256, checksum
		FROM atlasctl.archive_file
		WHERE archive_id = $1 AND attempt = $2 AND state IN ('written', 'verified') ORDER BY first_page`, id, attempt)
	if err != nil {
		return nil, fmt.Errorf("read the files of entry %s: %w", id, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[file])
	if err != nil {
		return nil, fmt.Errorf("read the files of entry %s: %w", id, err)
	}
	return all, nil
}

// compression is how much smaller the files are than the heap, at the least; it
// warns of a full disk, no more.
const compression = 0.35

func (j *job) roomFor(ctx context.Context, x *exportMove, bytes int64) error {
	free, known, err := x.to.Free(ctx)
	if err != nil || !known {
		return err
	}
	if need := int64(compression * float64(bytes)); free < need {
		return pg.WithHint(fmt.Errorf("%s has %d bytes free, and the files of %s need about %d", x.destination(), free, x.name, need),
			fmt.Sprintf("make room, or name another destination; nothing has left %s", x.from.name))
	}
	return nil
}

// copySQL is the statement that sends the rows of some pages, [first, last).
func copySQL(s pqfile.Schema, leaf pg.Name, first int64, last *int64) string {
	where := ""
	if first > 0 {
		where = fmt.Sprintf(" WHERE ctid >= '(%d,0)'::pg_catalog.tid", first)
	}
	if last != nil {
		word := " WHERE"
		if where != "" {
			word = " AND"
		}
		where += fmt.Sprintf("%s ctid < '(%d,0)'::pg_catalog.tid", word, *last)
	}
	return fmt.Sprintf("COPY (SELECT %s FROM ONLY %s%s) TO STDOUT (FORMAT binary)", s.SelectList(), leaf.SQL(), where)
}

// writeFile writes one file. It is named in the ledger before its first byte
// leaves: what no row names is not ours.
func (j *job) writeFile(ctx context.Context, x *exportMove, schema pqfile.Schema, f file) error {
	what := fmt.Sprintf("write %s/%s", x.destination(), f.Key)
	_, err := j.db.Exec(ctx, `INSERT INTO atlasctl.archive_file (archive_id, n, attempt, key, first_page, last_page, state)
		VALUES ($1, $2, $3, $4, $5, $6, 'writing')`, x.entry.ID, f.N, x.entry.Attempt, f.Key, f.FirstPage, f.LastPage)
	if err != nil {
		return fmt.Errorf("%s: name it in the ledger: %w", what, err)
	}
	if err := j.place("file named"); err != nil {
		return err
	}
	sum, bytes, hash, err := j.send(ctx, x, schema, f)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := j.place("file stored"); err != nil {
		return err
	}
	_, err = j.db.Exec(ctx, `UPDATE atlasctl.archive_file SET state = 'written', rows = $3, bytes = $4, sha256 = $5, checksum = $6
		WHERE archive_id = $1 AND n = $2`, x.entry.ID, f.N, sum.Rows(), bytes, hash, sum.String())
	if err != nil {
		return fmt.Errorf("%s: record it: %w", what, err)
	}
	x.written += sum.Rows()
	j.tell(Progress{Partition: x.name, Step: "write files", Rows: x.written})
	return j.place("file written")
}

// send streams rows from the server into an object, which exists once all of
// them have arrived and not before.
func (j *job) send(ctx context.Context, x *exportMove, schema pqfile.Schema, f file) (sum pqfile.Sum, bytes int64, hash string, err error) {
	tx, err := j.underLock(ctx, x, markFunction)
	if err != nil {
		return sum, 0, "", err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has only read
	object, err := x.to.Create(ctx, f.Key)
	if err != nil {
		return sum, 0, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, object.Abort())
		}
	}()
	digest, count := sha256.New(), &counter{}
	w, err := pqfile.NewWriter(io.MultiWriter(object, digest, count), schema, j.fileMeta(x))
	if err != nil {
		return sum, 0, "", err
	}
	defer w.Abort()
	tell := func(rows int64) { j.tell(Progress{Partition: x.name, Step: "write files", Rows: x.written + rows}) }
	if err := copyOut(ctx, tx.Conn().PgConn(), copySQL(schema, x.name, f.FirstPage, f.LastPage), w, tell); err != nil {
		return sum, 0, "", err
	}
	if err := w.Close(); err != nil {
		return sum, 0, "", err
	}
	if err := j.place("before commit of file"); err != nil {
		return sum, 0, "", err
	}
	if err := object.Commit(ctx); err != nil {
		return sum, 0, "", err
	}
	return w.Sum(), count.n, hex.EncodeToString(digest.Sum(nil)), nil
}

// counter counts the bytes that pass.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// copyOut sends the rows of a COPY statement to w, and tells of them now and
// then. An error of w stops the statement and leaves the session as it is, where
// pgx would close it: what is to be done about a full disk is said on it.
func copyOut(ctx context.Context, conn *pgconn.PgConn, sql string, w io.Writer, tell func(rows int64)) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	f := &feed{to: w, stop: stop, tell: tell}
	_, err := conn.CopyTo(running, f, sql)
	if f.err != nil {
		return f.err
	}
	return err
}

// feed passes on what the server sends, each row in a message of its own, until
// it can't; then it takes the rest and drops it.
type feed struct {
	to   io.Writer
	stop context.CancelCauseFunc
	tell func(rows int64)
	rows int64
	err  error
}

func (f *feed) pass(row []byte) {
	if f.rows++; f.rows%10_000 == 0 {
		f.tell(f.rows)
	}
	if _, f.err = f.to.Write(row); f.err != nil {
		f.stop(f.err)
	}
}

func (f *feed) Write(p []byte) (int, error) {
	if f.err == nil {
		f.pass(p)
	}
	return len(p), nil
}

// underLock begins a transaction that only reads, with the settings that rows
// are read under, in which the leaf can't be rewritten, and looks whether it is
// what it was. function is that of the leaf's triggers.
func (j *job) underLock(ctx context.Context, x *exportMove, function string) (pgx.Tx, error) {
	retry := newRetry(j.db.LockDeadline)
	for {
		tx, err := j.tryUnderLock(ctx, x, function)
		if err == nil || ctx.Err() != nil || !tryAgain(err) {
			return tx, err
		}
		if err := retry.wait(ctx, j.db.Log, "read "+x.name.String(), err); err != nil {
			return nil, err
		}
	}
}

func (j *job) tryUnderLock(ctx context.Context, x *exportMove, function string) (_ pgx.Tx, err error) {
	tx, err := j.db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx))
		}
	}()
	for _, sql := range append(pqfile.Settings(), fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS SHARE MODE", x.name.SQL())) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	if err := j.unchanged(ctx, tx, x, function); err != nil {
		return nil, err
	}
	return tx, nil
}

// lookUnderLock looks and lets go.
func (j *job) lookUnderLock(ctx context.Context, x *exportMove, function string) error {
	tx, err := j.underLock(ctx, x, function)
	if err != nil {
		return err
	}
	return tx.Rollback(context.WithoutCancel(ctx))
}

// removableSQL is the garbage of an entry, unless another database wrote it, of
// which this one is a copy.
const removableSQL = `SELECT f.key FROM atlasctl.archive_file f JOIN atlasctl.archive a ON a.id = f.archive_id
	WHERE f.archive_id = $1 AND f.state = 'garbage' AND a.origin = $2 ORDER BY f.n`

// removeGarbage removes from the destination what the ledger calls garbage.
func (j *job) removeGarbage(ctx context.Context, st store.Store, id string) error {
	origin, err := readOrigin(ctx, j.db)
	if err != nil {
		return err
	}
	rows, err := j.db.Query(ctx, removableSQL, id, origin)
	if err != nil {
		return fmt.Errorf("read the archive's ledger: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the archive's ledger: %w", err)
	}
	for _, key := range keys {
		if err := st.Remove(ctx, key); err != nil {
			return err
		}
		if _, err := j.db.Exec(ctx, "UPDATE atlasctl.archive_file SET state = 'deleted' WHERE key = $1 AND state = 'garbage'", key); err != nil {
			return fmt.Errorf("write the archive's ledger: %w", err)
		}
	}
	return nil
}

// dir is where the files of the attempt lie in the destination: by table and
// range for whoever reads them, and never the same twice.
func (j *job) dir(x *exportMove) string {
	return fmt.Sprintf("%s/range=%s_%s/%s-%d", tableKey(j.spec.Table),
		boundKey(x.lower, "min"), boundKey(x.upper, "max"), x.entry.ID, x.entry.Attempt)
}

// boundKey is a bound in a key: a day where it is midnight in UTC.
func boundKey(b partitions.Bound, unbounded string) string {
	if b.Unbounded {
		return unbounded
	}
	t := b.Time.UTC()
	if t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 && t.Nanosecond() == 0 {
		return t.Format("2006-01-02")
	}
	return t.Format("20060102T150405.999999Z")
}

// tableKey is a table in a key. A dot in a name is not the one between two.
func tableKey(table pg.Name) string {
	return keyPart(table.Schema) + "." + keyPart(table.Table)
}

// keyPart escapes what object stores and file systems don't all take.
func keyPart(s string) string {
	var b []byte
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			b = append(b, c)
		default:
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return cmp.Or(string(b), "%")
}
