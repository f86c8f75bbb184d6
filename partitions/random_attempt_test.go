package partitions_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// attempt is a testing.TB whose failure is a result: to try a schema, and then
// again with less of it.
type attempt struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// try runs fn and returns how it failed; nothing if it didn't.
func try(t testing.TB, fn func(testing.TB)) []string {
	a := &attempt{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, v := range slices.Backward(a.cleanups) {
				v()
			}
		}()
		fn(a)
	}()
	<-done
	return a.failures
}

func (a *attempt) Cleanup(fn func()) { a.cleanups = append(a.cleanups, fn) }
func (a *attempt) Failed() bool      { a.mu.Lock(); defer a.mu.Unlock(); return len(a.failures) > 0 }
func (a *attempt) Error(args ...any) { a.Errorf("%s", fmt.Sprint(args...)) }
func (a *attempt) Errorf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures = append(a.failures, fmt.Sprintf(format, args...))
}
func (a *attempt) Fatal(args ...any) { a.Error(args...); runtime.Goexit() }
func (a *attempt) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	runtime.Goexit()
}
