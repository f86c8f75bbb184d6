// Package archive moves what is old enough out of a table: into <table>_archive,
// a table of its own in the same schema, partitioned like it, or into files in a
// directory or bucket. It brings ranges back.
//
// In reading order: [Age] is how old; survey.go reads what the table is and
// blockers.go what stands in the way; expired.go decides what goes and how;
// detach.go is the life of a whole leaf, rows.go and batch.go that of rows
// without an expired leaf of their own; ledger.go is what a killed run is
// resumed from. export.go is the life of a leaf that goes to files, with
// export_write.go, manifest.go, readback.go and seal.go; restore.go and
// restore_steps.go are the ways back; verify.go reads what the ledger claims.
//
// Invariants:
//
//   - At every instant each committed row is in the table or in the archive,
//     and in one of them only. The one exception is a whole leaf between its
//     two parents: its rows are in the leaf itself, and the ledger names it.
//     Rows that go to files are in the table while their leaf is attached, and in
//     the files from then on.
//   - A leaf is dropped only after its files were read back and matched, and only
//     if nobody has changed its rows since.
//   - A row goes if its key is before the cut-off, which is fixed once at the
//     start of a run. A NULL key is never before it.
//   - The archive and its leaves can be read by the table's owner only: row
//     level security is on, there is no policy and no grant. They have no
//     foreign keys, so nothing that happens to live rows shrinks them.
//   - Each step looks at the catalogs, acts in one transaction or one
//     restartable statement, and can be killed at any point.
//
// Locks. A whole leaf: SHARE UPDATE EXCLUSIVE on the table, which readers and
// writers pass; then, with the leaf out of reach of the table's name, ACCESS
// EXCLUSIVE on the leaf and, if it has foreign keys, for a moment SHARE ROW
// EXCLUSIVE and ACCESS EXCLUSIVE on the tables they reference. With a DEFAULT
// partition, ACCESS EXCLUSIVE on the table for a moment. To files: before that, for
// a moment each, SHARE ROW EXCLUSIVE on the leaf, twice. Rows: those of DELETE,
// some 50 ms a transaction. Waits for locks behind which others queue are
// bounded by lock_timeout; waits for transactions to end hold none.
package archive
