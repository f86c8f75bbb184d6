package cmd_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// clone returns a copy of a database to which nobody is connected; the copy is
// dropped when the test ends.
func clone(t testing.TB, source string) string {
	t.Helper()
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	name := "atlasctl_test_" + strings.ToLower(rand.Text()[:12])
	admin := pgtest.AdminURL(t)
	// A session that has just ended is gone for its client, not yet for the server.
	template := strings.TrimPrefix(u.Path, "/")
	deadline := time.Now().Add(patience)
	for {
		err := execute(t.Context(), admin, "CREATE DATABASE "+name+" TEMPLATE "+template+pgtest.CopyStrategy(t))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("clone %s: %v", template, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := execute(ctx, admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the clone: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}
