// Package pqfile keeps rows of PostgreSQL in Parquet files, exactly: the tuples
// of COPY (FORMAT binary) go in, the same tuples come out. It knows nothing of
// where files lie or what they are for.
//
// In reading order: [Describe] decides how each column of a table is kept
// (kind.go has the list of types); [Schema] is that decision, as JSON part of
// every file; stream.go cuts the bytes of COPY into tuples and [Sum] is their
// checksum; [Writer] is COPY to Parquet (encode.go one value, chunk.go a column,
// page.go what is compressed, footer.go what a Parquet reader looks at first);
// [Reader] is the way back (column.go a column, decode.go one value, as the
// server sends it, and text.go as it reads it). twin.go and twin_duckdb.go say
// the checksum again in SQL, for people without this program.
//
// Invariants:
//
//   - A file is a bijection of the tuples that it was made from. A value that its
//     column can't hold ends the file with a [ValueError]; none becomes NULL.
//   - A column is native, the type's send bytes in the Parquet type next to them,
//     or text, what the type's output function makes of it under [Settings].
//   - Field ids are attribute numbers and columns keep the table's order.
//   - Memory is bounded by [Writer]'s row groups and by the largest row, however
//     many rows there are.
//   - No value ever gets into an error.
//
// Infinity, which Parquet's dates and timestamps don't have, is the highest
// number of the column and one above the lowest, which DuckDB reads as infinity.
//
// Writing is done here and reading by parquet-go, and that on purpose. The
// library's writer, two row groups at a time, reached 0.38 of the speed of a
// client that throws the rows away and took 215 to 286 MiB, over the 256 MiB that
// an archiving process may have. Pages that go from COPY to the compressor
// without becoming values on the way were a quarter faster with under half the
// memory; BenchmarkFile has the figures of a machine. What reads the files back to
// verify them then shares nothing with what wrote them but the thrift structures
// of the format.
package pqfile
