// Package storm is a test: accidents befall the built command at random
// moments of convert, split, revert, cleanup, premake and archive, while clients
// go on writing.
// It kills the client, ends its sessions, and crashes the server, often several
// times in a row, lets the command be run again, and wants that nothing is
// lost, nothing doubles, and everything attached survives.
//
//	go test ./cmd/storm                                         a short storm
//	go test ./cmd/storm -run Storm -storm 30m -timeout 0 -v     a long one, and what was survived
//	go test ./cmd/storm -run Storm -seed 4711 -storm 5m -v      the accidents of a failure, over and over
//
// A round is a database of its own that is struck at one stage of a life
// (life_test.go) and the next. Its seed decides the stage, the accidents
// (accident_test.go) and what clients write; how the processes interleave is
// up to the machine, so a seed is repeated until the storm is over.
//
// What must hold is in journal_test.go: a client notes each write before it is
// sent and once it is acknowledged, and every look at the tables must show each
// row in a state between the two, once.
package storm
