// Package tableddl writes down what a table is, so that somebody who has its
// rows and these statements rebuilds it years later, without atlasctl, in an
// empty database of the same or a newer PostgreSQL.
//
// In reading order: [Read]; sql/objects.sql is the one query that it runs, and
// has the knowledge; statement.go lays a statement out. testdata/leaf.sql shows
// what comes of a table with nearly all that a table can have.
//
// What is promised of the rebuilt table:
//
//   - It has the live columns in their order, with type, collation, NOT NULL,
//     default and generation expression; the check, primary key, unique and
//     exclusion constraints under their names; the comments on itself, its
//     columns, its types and their attributes.
//   - Every type that it needs is there under its own name: enums, domains,
//     ranges, composite types, in whatever way they hold each other, and
//     collations. The row type of another table or view becomes a composite
//     type of the same name. Types of extensions come by CREATE EXTENSION, of
//     whichever version the new server has.
//   - It takes every row that the table has, and reading it gives the same
//     statements again. No OID is in them.
//
// What is left out stands in a comment in the statement that would have had it,
// with the reason:
//
//   - a constraint, default or generation expression that needs a function,
//     operator or other object of neither the server nor an extension; such a
//     generated column becomes an ordinary one, which takes the archived values
//   - a default that needs a sequence, or a function or operator of an extension
//   - a constraint that is not validated: rows may violate it
//   - an expression that has whole rows of the table, or OIDs of tables
//   - the canonical and subtype_diff functions of a range, if a user wrote them
//
// Without a word: owner, grants, row level security, triggers, rules, indexes
// that are no constraint's, foreign keys, identity (the column is an ordinary
// one), partitioning and inheritance, storage parameters, compression,
// tablespaces, statistics, the names of NOT NULL constraints, comments on
// constraints and collations.
//
// What is refused: a relation that isn't a table, a base type or a range's
// operator class of no extension, a temporary type, a type with the name that
// the table is to have, and types that need each other or the table's own row
// type by way of an expression. Collations in pg_catalog are taken to be there:
// those of libc depend on the operating system.
//
// No lock is taken beyond those of reading the catalogs, and the session is left
// as it is.
package tableddl
