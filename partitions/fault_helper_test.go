package partitions_test

import (
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// eventually waits until a query returns true.
func eventually(t testing.TB, url, query string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !pgtest.Scalar[bool](t, url, query); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not true: %s", query)
		}
	}
}
