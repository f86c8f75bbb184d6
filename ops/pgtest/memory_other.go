//go:build !linux

package pgtest

func inMemory() {}
