// Package check tries migrations out before a database meets them: it runs
// them on a scratch database, watches what each statement does to tables that
// existed before and have rows, goes down and up again, and looks for hazards in
// what the statements say.
//
// In reading order: [Run] is the whole of it; source reads and splits a
// directory as its runner does; trace.go runs a file on tables with rows, in a
// transaction that is rolled back; session.go sees locks, scans and rewrites;
// apply.go runs it for good; roundtrip.go goes back; hazards*.go are the rules,
// final.go those about the schema at the end; rules.go is their list.
//
// Invariants:
//
//   - The judge is PostgreSQL: what a statement did replaces what it says
//     wherever it could be seen. A scan is one that was counted, a lock one that
//     was held.
//   - Nothing is changed but the scratch database, which is dropped whatever
//     happens. On a server that isn't the check's own foreign.go refuses what is
//     about more than that, before it runs and before it is committed.
//   - A file runs as its runner would run it, statement by statement; one that
//     fails is a finding at its line, and the rest goes on.
//   - A finding's ID keeps its meaning for ever.
package check
