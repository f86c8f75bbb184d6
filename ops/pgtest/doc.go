// Package pgtest gives tests real PostgreSQL databases. Only tests import it.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		db := pgtest.Database(t)
//		pgtest.Exec(t, db, `CREATE TABLE t (id int)`)
//		n := pgtest.Scalar[int64](t, db, `SELECT count(*) FROM t`)
//		…
//	}
//
// The databases of one test binary share one server, which the first of them
// starts and Main stops. A test that needs settings of its own, or that breaks
// the server, takes a Server.
//
// # Environment
//
//   - ATLASCTL_TEST_POSTGRES: the version of every server, "17" or "17.10"; or a
//     list, "14,15,16,17,18", for which the whole binary runs once per version.
//     Flags that name an output file (-coverprofile, …) then keep the last run's.
//   - ATLASCTL_TEST_DATABASE_URL: the URL of a superuser on a server to use in
//     place of the shared one. The list of versions is then of no effect.
//   - ATLASCTL_TEST_THOROUGH: anything, to try every case of what else is sampled
//     (see Sampled), minutes instead of seconds.
//   - TMPDIR: where servers keep their data. On Linux it is memory, where there
//     is enough, unless this says otherwise.
//   - ATLASCTL_POSTGRES_BIN and the rest of the search: see package pgserver.
//
// A machine without PostgreSQL fails the tests; it never skips them.
package pgtest
