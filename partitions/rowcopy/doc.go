// Package rowcopy copies the rows of a table that is being written to into
// another one, so that in the end both hold the same. It knows nothing of
// conversions: it has two ends, a row's identity, and a log.
//
// # What must hold
//
// A row is known by its identity: the columns of a unique key of the source,
// and the partition key. From the moment at which the log begins, for every
// identity x, as any snapshot sees it:
//
//	the target has at x what the source has at x, or x is in the log,
//	or x is one of the source's rows that no chunk has copied yet.
//
// The log is filled by a trigger on the source, in the transaction that changes
// a row, with the identities that the row had and has. It is ENABLE ALWAYS, so
// that what a replication worker writes is logged as well, and SECURITY DEFINER
// with a pinned search_path: those who write rows have no right to the log, and
// none to choose what its names mean. CREATE TRIGGER takes SHARE ROW EXCLUSIVE,
// which waits for every transaction that has written to the source, and those
// that come later find the trigger: nothing predates the log.
//
// # Chunks
//
// A chunk copies the rows of a range of heap pages, as one statement's snapshot
// sees them, and moves its watermark on in the same transaction. Chunks see
// different snapshots, so a row that moves between them could be copied twice,
// or in a version that is gone. Neither does harm, for a chunk leaves out what
// the log says was put into its own pages:
//
//   - A version of a row that was there when the log began lies in one page, so
//     one chunk meets it, if it is still there.
//   - A version that came later is in the log, with the page it was put into,
//     by the same transaction: a snapshot that sees the one sees the other.
//     No chunk copies it.
//   - A row that was copied and is changed afterwards is in the log.
//
// So each identity is copied at most once, whatever the chunks' order and
// number, and unique indexes can be built when all rows are there.
//
// # Replay
//
// The log is replayed after the last chunk has been committed, and never before:
// there is no chunk in flight that could put back an older version of what a
// replay has corrected. A replay takes entries, deletes from the target what
// has their identities, and copies what the source has at them now. Not what
// the entry said when it was written: two changes of a row need not be replayed
// in their order, and one that is replayed twice does nothing twice. What
// changes while a replay runs has another entry, for which a later one comes.
//
// # The end
//
// With writers locked out for a moment, readers not, the rest of the log is
// replayed; it is bounded. Then both ends are the same, for every snapshot that
// is taken from now on, and they have to stay so until names change hands: a
// transaction at REPEATABLE READ goes on with its snapshot, and would not see
// what is replayed later. So before the lock is released the trigger's function
// is replaced by one that mirrors: it writes to both ends, in the writer's own
// transaction.
//
// Like a replay it re-reads the source instead of believing the event: triggers
// of the user's may have changed the row again. It never makes a statement fail:
// what it can't do, because the row of the target is not to be seen, or because
// no leaf holds the new one, it logs.
//
// A transaction whose snapshot is older than that can't mirror: it may not see the
// row of the target that it would have to change. It is told apart by its
// snapshot, and logs as before. Once none of these is left, what has been logged
// is replayed in the same way, and once none is left whose snapshot is older
// than that, and the log is still empty, every snapshot in use sees the same at
// both ends. Nobody has waited for more than a moment, and names can change
// hands. If the log is not empty, the same again.
//
// The same works backwards: after the switch a trigger on what was the target
// fills the log, and replaying it in the other direction makes the old table
// what the new one is.
package rowcopy
