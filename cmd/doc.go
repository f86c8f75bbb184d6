// Package cmd is the command line of atlasctl: it parses, calls and renders.
//
// Data goes to standard output, everything else (progress, notices, logs) to
// standard error. There is one place where an error becomes an exit code
// (exit.go), and one that turns results into tables, JSON, CSV and Markdown
// (output.go). A command is a function that returns a [cobra.Command] and
// calls into the packages below; it holds no logic of its own.
package cmd
