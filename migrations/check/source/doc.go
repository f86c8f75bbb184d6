// Package source reads a directory of migrations and takes every file apart the
// way its runner does: into the strings that the runner sends, and those into
// statements, each with its place in the file.
//
// Invariants:
//
//   - The text of a chunk is what the runner sends, byte for byte. For goose a
//     test proves it against goose itself. The exceptions leave a [Problem]:
//     commands of psql and rows of COPY are blanked where the runner takes
//     neither, and a byte order mark is left out, so that the rest still runs;
//     variables are not substituted; and a file that goose refuses keeps what
//     can be told apart.
//   - Lines count from 1 and offsets from 0, in bytes of the file without its
//     byte order mark, also where goose drops lines or carriage returns.
//   - Nothing is parsed but the lexical structure: quotes, dollar quotes,
//     comments, parentheses, and the bodies of SQL-standard functions. What is
//     valid SQL only the server knows.
//   - A file that no server takes as text (a zero byte, not UTF-8) has a
//     Problem and no chunks.
//   - Reading takes time proportional to the size of the files.
//
// It reads files, takes no locks and talks to no server.
package source
