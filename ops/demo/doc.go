// Package demo makes what a demonstration and the benchmarks need: rows for the
// storage schema, generated or from CSV files, and an application that writes
// and reads while tables are worked on.
package demo
