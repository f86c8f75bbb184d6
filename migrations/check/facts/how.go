package facts

// How a fact is made so, as the queries say it in the columns how, make and
// unmake. Without one of these, how says nothing of the existence of an object,
// and set of a property: make are the statements that bring the fact about, for a
// property after CREATE, and unmake those that take it back, for an object DROP
// if there are none. Where a value changes, what the lists of both readings have
// in common is left out. Without make, SQL can't say it.
const (
	// A table: make is what is before and what is behind its columns.
	howTable = "table"
	// A column: make is what adds it, and its definition.
	howColumn = "column"
	// An object that is there because of its facts or of what it is a part of.
	howNothing = "nothing"

	// A property that CREATE says too.
	howPart = "part"
	// One that is said after everything else is made.
	howLate = "late"
	// One that is taken back before it is said again.
	howAgain = "again"
	// One that CREATE OR REPLACE says, if unmake is the same list for both.
	howFit = "fit"
	// The value is a role, named in ALTER … OWNER TO.
	howOwner = "owner"
	// The value lists privileges; make is on what, to whom, the privileges that
	// grantee has by itself, what is before GRANT, and the columns.
	howGrant = "grant"
	// make is what is before the name of the object and, if that isn't its own,
	// the name.
	howWord = "word"
	// make are the labels of an enum.
	howLabels = "labels"
)

// again are the kinds that hold nothing: what ALTER can't change of one is
// changed by dropping it and making it again.
var again = map[string]bool{
	"constraint": true, "index": true, "policy": true, "trigger": true, "rule": true, "statistics": true,
	"function": true, "procedure": true, "aggregate": true, "view": true, "materialized view": true, "event trigger": true,
}

// rank is the order in which kinds are made where nothing else decides. Bodies of
// functions that are strings need tables which nobody knows of.
var rank = map[string]int{
	"schema": 1, "extension": 2, "collation": 3, "type": 4, "domain": 5, "sequence": 6, "table": 7, "foreign table": 8, "column": 9,
	"constraint": 10, "function": 11, "procedure": 12, "aggregate": 13, "view": 14, "materialized view": 15, "index": 16, "statistics": 17,
	"rule": 18, "trigger": 19, "policy": 20, "publication": 21, "event trigger": 22, "default privileges": 23,
	"foreign data wrapper": 24, "server": 25, "user mapping": 26, "text search configuration": 27,
}
