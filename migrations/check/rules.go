package check

import "github.com/atlasctl/atlasctl/ops/pg"

// Rule is one hazard that is looked for. Its ID keeps its meaning for ever.
type Rule struct {
	ID       string
	Severity pg.Severity
	Title    string // what is found, in a few words
	Why      string // what happens
	Fix      string // the safe way, in words or SQL
}

// Rules are all hazards, by ID.
func Rules() []Rule {
	all := make([]Rule, len(catalogue))
	copy(all, catalogue)
	return all
}

func ruleOf(id string) Rule {
	for _, r := range catalogue {
		if r.ID == id {
			return r
		}
	}
	panic("no rule " + id) // a rule that is reported is in the catalogue: a test goes through all
}

// catalogue is the list of hazards, in the order of their IDs.
var catalogue = []Rule{
	{
		"ATL-MIG-001", pg.Error, "index without CONCURRENTLY",
		"CREATE INDEX keeps all writers of the table waiting until the index is built.",
		"CREATE INDEX CONCURRENTLY, in a file of its own that runs outside a transaction; on a partitioned table CREATE INDEX … ON ONLY, then CONCURRENTLY on each partition and ALTER INDEX … ATTACH PARTITION",
	},
	{
		"ATL-MIG-002", pg.Error, "CONCURRENTLY inside a transaction",
		"PostgreSQL refuses CONCURRENTLY in a transaction block, and the runner makes one of this file or block.",
		"a file of its own: goose wants -- +goose NO TRANSACTION and the statement alone",
	},
	{
		"ATL-MIG-003", pg.Warn, "DROP INDEX without CONCURRENTLY",
		"DROP INDEX takes ACCESS EXCLUSIVE on the table: everybody queues behind it.",
		"DROP INDEX CONCURRENTLY, in a file that runs outside a transaction",
	},
	{
		"ATL-MIG-004", pg.Error, "rewrite or rebuild under an exclusive lock",
		"VACUUM FULL, CLUSTER, REINDEX and REFRESH MATERIALIZED VIEW without CONCURRENTLY lock readers or writers out for as long as they work.",
		"the CONCURRENTLY form, or pg_repack",
	},
	{
		"ATL-MIG-005", pg.Warn, "not repeatable outside a transaction",
		"What runs outside a transaction and fails half-way stays half done; run again, it fails on what is there.",
		"one statement per file, with a name: DROP INDEX CONCURRENTLY IF EXISTS x, then CREATE INDEX CONCURRENTLY x",
	},
	{
		"ATL-MIG-006", pg.Error, "SET NOT NULL scans the table",
		"All rows are read under ACCESS EXCLUSIVE to prove that none is NULL.",
		"ADD CONSTRAINT c CHECK (col IS NOT NULL) NOT VALID; VALIDATE CONSTRAINT c in a later transaction; SET NOT NULL; DROP CONSTRAINT c",
	},
	{
		"ATL-MIG-007", pg.Error, "NOT NULL column without a default",
		"It fails on a table that has rows, and afterwards each INSERT that doesn't know the column fails.",
		"ADD COLUMN … NOT NULL DEFAULT a constant, which rewrites nothing",
	},
	{
		"ATL-MIG-008", pg.Error, "column with a volatile default",
		"The whole table and its indexes are rewritten under ACCESS EXCLUSIVE.",
		"ADD COLUMN without default, ALTER COLUMN … SET DEFAULT, then fill the old rows in batches",
	},
	{
		"ATL-MIG-009", pg.Error, "serial, identity or stored column on an existing table",
		"The whole table and its indexes are rewritten under ACCESS EXCLUSIVE.",
		"a plain column, filled in batches, then the sequence as its default; from PostgreSQL 18 on a VIRTUAL generated column",
	},
	{
		"ATL-MIG-010", pg.Error, "column with a constraint that scans",
		"The table is read, or an index built, under ACCESS EXCLUSIVE.",
		"the column first; the check NOT VALID and validated later; the unique index CONCURRENTLY",
	},
	{
		"ATL-MIG-011", pg.Error, "type change that rewrites the table",
		"The whole table and its indexes are rewritten under ACCESS EXCLUSIVE.",
		"a new column, kept by a trigger, filled in batches, then the two renamed",
	},
	{
		"ATL-MIG-012", pg.Error, "type or collation change that rebuilds an index",
		"Indexes over the column are built anew under ACCESS EXCLUSIVE.",
		"a new column with an index built CONCURRENTLY, then the two renamed",
	},
	{
		"ATL-MIG-013", pg.Warn, "narrower type",
		"Rows that don't fit make it fail, after it has read the table under ACCESS EXCLUSIVE.",
		"ADD CONSTRAINT c CHECK (length(col) <= n) NOT VALID, then VALIDATE CONSTRAINT c",
	},
	{
		"ATL-MIG-014", pg.Warn, "conversion between timestamp and timestamptz",
		"What it does to the rows, and whether it rewrites the table, depends on the session's TimeZone.",
		"SET LOCAL TimeZone = 'UTC' before it, without USING",
	},
	{
		"ATL-MIG-015", pg.Error, "foreign key without NOT VALID",
		"Both tables are read while nobody can write to either.",
		"ADD CONSTRAINT … FOREIGN KEY … NOT VALID, then VALIDATE CONSTRAINT in a later transaction",
	},
	{
		"ATL-MIG-016", pg.Error, "CHECK without NOT VALID",
		"All rows are read under ACCESS EXCLUSIVE.",
		"ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT in a later transaction",
	},
	{
		"ATL-MIG-017", pg.Warn, "NOT VALID and VALIDATE in one transaction",
		"The exclusive lock of the first is held while the second reads the table.",
		"two files, so that each is a transaction",
	},
	{
		"ATL-MIG-018", pg.Warn, "constraint that is never validated",
		"Old rows may break it, and the planner doesn't trust it.",
		"ALTER TABLE … VALIDATE CONSTRAINT …",
	},
	{
		"ATL-MIG-019", pg.Error, "UNIQUE or PRIMARY KEY that builds its index",
		"The index is built under ACCESS EXCLUSIVE.",
		"CREATE UNIQUE INDEX CONCURRENTLY i …; ALTER TABLE … ADD CONSTRAINT … UNIQUE USING INDEX i",
	},
	{
		"ATL-MIG-020", pg.Error, "PRIMARY KEY USING INDEX over a nullable column",
		"All rows are read under ACCESS EXCLUSIVE to prove that none is NULL.",
		"make the column NOT NULL first, by a validated CHECK (col IS NOT NULL)",
	},
	{
		"ATL-MIG-021", pg.Error, "EXCLUDE on an existing table",
		"Its index is built under ACCESS EXCLUSIVE, and there is no other way.",
		"a new table with the constraint, and the rows copied",
	},
	{
		"ATL-MIG-022", pg.Error, "domain constraint that scans tables",
		"Every table with a column of the domain is read while nobody can write to it.",
		"ALTER DOMAIN … ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT when few write: it keeps writers waiting as well",
	},
	{
		"ATL-MIG-023", pg.Error, "renamed column",
		"Programs that run meanwhile still use the old name.",
		"a new column that is written beside the old one, until nobody uses that",
	},
	{
		"ATL-MIG-024", pg.Error, "renamed or moved table, schema, view or label",
		"Programs that run meanwhile still use the old name.",
		"rename it, and a view under the old name in the same transaction",
	},
	{
		"ATL-MIG-025", pg.Error, "dropped column",
		"Programs that run meanwhile may still use it, and its values are gone.",
		"release a version that doesn't use it, then drop it",
	},
	{
		"ATL-MIG-026", pg.Error, "dropped table, view or schema",
		"Programs that run meanwhile may still use it, and its rows are gone.",
		"rename it, wait, then drop it",
	},
	{
		"ATL-MIG-027", pg.Error, "CASCADE dropped more than it names",
		"Objects went that the statement doesn't mention.",
		"drop each by name, without CASCADE",
	},
	{
		"ATL-MIG-028", pg.Error, "TRUNCATE of an existing table",
		"All rows are gone, and with CASCADE those of other tables.",
		"DELETE in batches, of what is meant",
	},
	{
		"ATL-MIG-029", pg.Warn, "lock without lock_timeout",
		"It waits without end for whoever uses the table, and everybody who comes later waits behind it.",
		"SET LOCAL lock_timeout = '2s' at the file's top, and run it again when it times out",
	},
	{
		"ATL-MIG-030", pg.Warn, "more work under ACCESS EXCLUSIVE",
		"Readers wait until the last statement of the transaction is done.",
		"the statement that locks last, or in a file of its own",
	},
	{
		"ATL-MIG-031", pg.Warn, "several tables locked in one transaction",
		"While it waits for the second, the first is locked; in another order than the application's it deadlocks.",
		"a file for each table",
	},
	{
		"ATL-MIG-032", pg.Info, "several ALTER TABLE of one table",
		"Each passes over the table's definition, and where it scans or rewrites, over the table.",
		"one ALTER TABLE with all the changes",
	},
	{
		"ATL-MIG-033", pg.Warn, "unlogged table",
		"It is empty after a crash and absent on replicas; SET LOGGED or UNLOGGED rewrites it.",
		"a logged table from the start",
	},
	{
		"ATL-MIG-034", pg.Warn, "key of four bytes",
		"It ends at 2,147,483,647, and no INSERT succeeds from then on.",
		"bigint GENERATED ALWAYS AS IDENTITY, or uuid",
	},
	{
		"ATL-MIG-035", pg.Error, "table in an exposed schema without row level security",
		"Whoever has the API's public key can reach every row that the role's grants allow.",
		"ALTER TABLE … ENABLE ROW LEVEL SECURITY, and policies",
	},
	{
		"ATL-MIG-036", pg.Info, "row level security without a policy",
		"Nobody but the owner and roles with BYPASSRLS sees a row.",
		"CREATE POLICY in the same file",
	},
	{
		"ATL-MIG-037", pg.Warn, "policy that calls a function for every row",
		"auth.uid() and the like are called for each row that is looked at.",
		"(SELECT auth.uid()), which is called once for a statement",
	},
	{
		"ATL-MIG-038", pg.Warn, "policy that lets everybody write",
		"USING (true) or WITH CHECK (true) is no condition.",
		"a condition on the row",
	},
	{
		"ATL-MIG-039", pg.Error, "SECURITY DEFINER without search_path",
		"Whoever can make objects in a schema of the caller's search_path runs code with the owner's privileges.",
		"SET search_path = '' on the function, and qualified names in it",
	},
	{
		"ATL-MIG-040", pg.Warn, "view that reads past row level security",
		"It reads as its owner, so the policies of the tables under it don't hold.",
		"WITH (security_invoker = true), from PostgreSQL 15 on",
	},
	{
		"ATL-MIG-041", pg.Error, "PARTITION OF a live table",
		"It takes ACCESS EXCLUSIVE on the partitioned table, and reads its DEFAULT partition.",
		"CREATE TABLE … (LIKE parent INCLUDING ALL), then ALTER TABLE … ATTACH PARTITION",
	},
	{
		"ATL-MIG-042", pg.Error, "ATTACH PARTITION that scans",
		"All rows of the new partition are read under ACCESS EXCLUSIVE on it.",
		"ADD CHECK (key IS NOT NULL AND key >= a AND key < b) NOT VALID; VALIDATE; ATTACH; DROP CONSTRAINT",
	},
	{
		"ATL-MIG-043", pg.Error, "ATTACH PARTITION that scans DEFAULT",
		"The DEFAULT partition is read under ACCESS EXCLUSIVE, for rows that belong into the new one.",
		"a validated CHECK on the DEFAULT partition that excludes the range",
	},
	{
		"ATL-MIG-044", pg.Error, "partition detached or dropped under an exclusive lock",
		"It takes ACCESS EXCLUSIVE on the partitioned table.",
		"DETACH PARTITION … CONCURRENTLY, and DROP TABLE later",
	},
	{
		"ATL-MIG-045", pg.Error, "partition that others can reach",
		"Policies and grants of the partitioned table don't hold for whoever names the partition.",
		"ENABLE ROW LEVEL SECURITY and REVOKE ALL on it",
	},
	{
		"ATL-MIG-046", pg.Error, "unique key without the partition key",
		"PostgreSQL can't enforce it over several partitions.",
		"the partition key as one of its columns",
	},
	{
		"ATL-MIG-047", pg.Error, "range without a partition",
		"Rows of that time are refused.",
		"the missing partition; atlasctl partition premake fills gaps",
	},
	{
		"ATL-MIG-048", pg.Warn, "copy that skips rows silently",
		"ON CONFLICT DO NOTHING hides rows that were not copied.",
		"GET DIAGNOSTICS n = ROW_COUNT, and RAISE EXCEPTION if it is not what it should be",
	},
	{
		"ATL-MIG-049", pg.Error, "copy that leaves rows behind",
		"LIMIT or a condition on the time copies a part, and the source goes or is renamed.",
		"repeat until nothing is left, and assert before the switch that nothing is",
	},
	{
		"ATL-MIG-050", pg.Warn, "UPDATE or DELETE of a whole table",
		"One transaction holds a lock on every row and leaves as many dead ones.",
		"batches, each in a transaction of its own",
	},
	{
		"ATL-MIG-051", pg.Error, "version below one that is released",
		"Runners refuse it, or apply it in another order here than there.",
		"a version above the last one",
	},
	{"ATL-MIG-052", pg.Error, "version that two files have", "Runners refuse them, or apply one of them.", "another version for one of them"},
	{
		"ATL-MIG-053", pg.Error, "released migration edited or removed",
		"Databases that have it keep what it was.", "the file as it was, and a new migration for the change",
	},
	{"ATL-MIG-054", pg.Warn, "no way down", "The migration can't be taken back.", "a Down section, or a comment that allows this"},
	{
		"ATL-MIG-055", pg.Error, "way down that doesn't lead back",
		"After up and down the schema is not what it was, or up again makes another one.", "undo in Down what Up does",
	},
	{"ATL-MIG-056", pg.Error, "not what the runner can run", "It is refused, skipped or run as something else.", "plain SQL, in a file that the runner finds"},
	{
		"ATL-MIG-057", pg.Error, "transaction control in a transaction",
		"The runner has begun one: COMMIT ends it, and what follows is not undone when it fails.", "leave BEGIN and COMMIT to the runner",
	},
	{
		"ATL-MIG-058", pg.Error, "new label used in its transaction",
		"PostgreSQL refuses a label that ALTER TYPE … ADD VALUE has added until it is committed.", "two files",
	},
	{"ATL-MIG-059", pg.Info, "foreign key without an index", "DELETE of a referenced row reads the whole table.", "CREATE INDEX CONCURRENTLY over its columns"},
	{"ATL-MIG-060", pg.Error, "does not apply", "PostgreSQL refuses it.", ""},
	{"ATL-MIG-061", pg.Warn, "allow comment without use, ID or reason", "It silences nothing, or nobody knows why it does.", "remove it, or -- atlasctl:allow ATL-MIG-000 with the reason"},
	{"ATL-MIG-062", pg.Info, "not looked at by the parser", "The server accepts it, the parser does not know it: only what it did was looked at.", ""},
	{"ATL-MIG-063", pg.Error, "drift", "The database is not what its migrations make.", ""},
	{"ATL-MIG-064", pg.Info, "extension that is not there", "It is not installed on this server, so what uses it can't be checked.", "check on a server that has it: --database-url"},
	{
		"ATL-MIG-065", pg.Error, "block that reads or rewrites tables under a lock",
		"What a DO block does is one transaction: its locks are held until all of it is done.",
		"the statements outside of the block, each the safe way",
	},
}
