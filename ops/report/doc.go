// Package report answers an operator's questions about a database: how big
// the tables are, and whether the application's queries touch only the
// partitions that they need.
//
// Invariants that each report keeps:
//
//   - One read-only transaction with local timeouts, which leaves nothing
//     behind, also through a transaction pooler.
//   - One query a question, whatever the number of partitions; partitions are
//     rolled up to their root at any depth.
//   - What could not be seen (a lock, a privilege, a table never analysed) is
//     said in a notice, and its value is null or an estimate that is marked as
//     one: never zero.
//
// Locks: ACCESS SHARE on the tables that are looked at, for as long as the
// report's transaction lasts, waited for with lock_timeout.
package report
