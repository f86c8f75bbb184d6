// Runs the statements of a JSON array on standard input in DuckDB and writes the
// rows of each, as strings, as JSON.
const { DuckDBInstance } = require(require.resolve('@duckdb/node-api', { paths: [process.env.ATLASCTL_TEST_DUCKDB] }));
(async () => {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run("SET TimeZone = 'UTC'");
  const results = [];
  for (const sql of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
    const reader = await connection.runAndReadAll(sql);
    results.push(reader.getRows().map((row) => row.map((value) => (value === null ? null : String(value)))));
  }
  process.stdout.write(JSON.stringify(results));
})().catch((e) => { console.error(e.message); process.exit(1); });
