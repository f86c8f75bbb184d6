package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	sizes := map[string]int{"empty": 0, "a/byte": 1, "a/b/part": partSize, "range=[2024-01-01,é)/%2F+ &?#.parquet": 2*partSize + 7}
	kinds(t, func(t *testing.T, s Store, _ func() []string) {
		for key, size := range sizes {
			content := noise(uint64(size), size)
			o := begin(t.Context(), t, s, key)
			for part := content; len(part) > 0; { // of odd sizes
				n := min(len(part), 1_234_567)
				if _, err := o.Write(part[:n]); err != nil {
					t.Fatal(err)
				}
				part = part[n:]
			}
			if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: before Commit: %v", key, err)
			}
			if _, err := s.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: open before Commit: %v", key, err)
			}
			if err := o.Commit(t.Context()); err != nil {
				t.Fatalf("%v %q", err, pg.Hints(err))
			}
			if err := o.Abort(); err != nil {
				t.Errorf("%s: Abort after Commit: %v", key, err)
			}
			if _, err := o.Write([]byte("x")); err == nil {
				t.Errorf("%s: Write after Commit", key)
			}
			if err := o.Commit(t.Context()); err == nil {
				t.Errorf("%s: Commit after Commit", key)
			}
			info, err := s.Stat(t.Context(), key)
			if err != nil || info.Key != key || info.Bytes != int64(size) || info.Unfinished || time.Since(info.Modified).Abs() > time.Minute {
				t.Errorf("%s: stat: %+v %v", key, info, err)
			}
			if !bytes.Equal(mustRead(t, s, key), content) {
				t.Errorf("%s: is not what was written", key)
			}
		}
	})
}

func TestExistingKey(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, _ func() []string) {
		for _, size := range []int{10, partSize + 10} {
			key := fmt.Sprintf("d/%d", size)
			// Both began before one was there.
			a, b := begin(t.Context(), t, s, key), begin(t.Context(), t, s, key)
			for o, seed := range map[Object]uint64{a: 1, b: 2} {
				if _, err := o.Write(noise(seed, size)); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, b.Commit(t.Context()), ErrExists, s, key)
			expect(t, put(t.Context(), s, key, []byte("third")), ErrExists, s, key)
			if !bytes.Equal(mustRead(t, s, key), noise(1, size)) {
				t.Error("the object was changed")
			}
		}
		if got := list(t, s, ""); got != "d/10 d/16777226" {
			t.Errorf("left behind: %s", got)
		}
	})
}

func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, _ func() []string) {
		var group sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			group.Go(func() { errs[i] = put(t.Context(), s, "d/key", noise(uint64(i), 1000)) })
		}
		group.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won < 0:
				won = i
			case err == nil:
				t.Errorf("%d and %d were both committed", won, i)
			case !errors.Is(err, ErrExists):
				t.Errorf("%d: %v", i, err)
			}
		}
		if won < 0 || !bytes.Equal(mustRead(t, s, "d/key"), noise(uint64(won), 1000)) {
			t.Errorf("the object is not that of %d", won)
		}
	})
}

func TestAbortLeavesNothing(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, files func() []string) {
		for _, size := range []int{0, 10, partSize + 1} {
			ctx, cancel := context.WithCancel(t.Context())
			o := begin(ctx, t, s, "d/key")
			if _, err := o.Write(noise(1, size)); err != nil {
				t.Fatal(err)
			}
			if size == 10 {
				cancel() // Abort works all the same
			}
			for range 2 {
				if err := o.Abort(); err != nil {
					t.Error(err)
				}
			}
			cancel()
			if err := o.Commit(t.Context()); err == nil {
				t.Error("Commit after Abort")
			}
		}
		if got := list(t, s, ""); got != "" || len(files()) != 0 {
			t.Errorf("left behind: %s %q", got, files())
		}
	})
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, files func() []string) {
		for _, size := range []int{10, partSize + 1} {
			o := begin(t.Context(), t, s, "d/key")
			if _, err := o.Write(noise(1, size)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := o.Commit(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("commit: %v", err)
			}
			if _, err := s.Create(ctx, "d/key"); !errors.Is(err, context.Canceled) {
				t.Errorf("create: %v", err)
			}
		}
		if got := list(t, s, ""); got != "" || len(files()) != 0 {
			t.Errorf("left behind: %s %q", got, files())
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, _ func() []string) {
		if got := list(t, s, ""); got != "" {
			t.Errorf("an empty store lists %s", got)
		}
		for _, key := range []string{"a/b/c", "a-b", "a/b", "a.b/c", "b/é", "b/z", "ab"} {
			if key != "a/b" { // a file system can't have both
				mustPut(t, s, key, []byte(key))
			}
		}
		for _, key := range []string{"b/m", "b/z", "a/b/c"} {
			o := begin(t.Context(), t, s, "open/"+key)
			if _, err := o.Write(noise(1, partSize+1)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = o.Abort() })
		}
		for prefix, want := range map[string]string{
			"":         "a-b a.b/c a/b/c ab b/z b/é open/a/b/c? open/b/m? open/b/z?",
			"a":        "a-b a.b/c a/b/c ab",
			"a/":       "a/b/c",
			"a/b":      "a/b/c",
			"a/b/c":    "a/b/c",
			"a/b/c/":   "",
			"ope":      "open/a/b/c? open/b/m? open/b/z?",
			"open/b/m": "open/b/m?",
			"none/":    "",
		} {
			if got := list(t, s, prefix); got != want {
				t.Errorf("%q: %s\nwant %s", prefix, got, want)
			}
		}
		for info, err := range s.List(t.Context(), "a") {
			if err != nil || info.Bytes != 3 || info.Modified.IsZero() {
				t.Errorf("%+v %v", info, err)
			}
			break // and no more is asked for
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range s.List(ctx, "") {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("after the context's end: %v", err)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, files func() []string) {
		ctx := t.Context()
		mustPut(t, s, "a/b/c/one", []byte("1"))
		mustPut(t, s, "a/b/two", []byte("2"))
		o := begin(ctx, t, s, "a/b/c/open")
		if _, err := o.Write(noise(1, partSize+1)); err != nil {
			t.Fatal(err)
		}
		if u, ok := o.(*upload); ok {
			waitForPart(t, s, u) // one that arrives later opens the upload again
		}
		for _, step := range []struct{ key, left string }{
			{"a/b/c/none", "a/b/c/one a/b/c/open? a/b/two"},
			{"none/at/all", "a/b/c/one a/b/c/open? a/b/two"},
			{"a/b/c", "a/b/c/one a/b/c/open? a/b/two"}, // a directory is no object
			{"a/b/c/o", "a/b/c/one a/b/c/open? a/b/two"},
			{"a/b/c/one", "a/b/c/open? a/b/two"},
			{"a/b/c/open", "a/b/two"},
			{"a/b/two", ""},
		} {
			if err := s.Remove(ctx, step.key); err != nil {
				t.Errorf("%s: %v", step.key, err)
			}
			if got := list(t, s, ""); got != step.left {
				t.Errorf("%s: %s\nwant %s", step.key, got, step.left)
			}
		}
		if err := o.Commit(ctx); err == nil {
			t.Error("what was removed was committed")
		}
		if len(files()) != 0 {
			t.Errorf("left behind: %q", files())
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, files func() []string) {
		for range 2 {
			c, err := s.Probe(t.Context())
			if err != nil {
				t.Fatalf("%v %q", err, pg.Hints(err))
			}
			if c.PutIfAbsent != Usable {
				t.Errorf("%+v", c)
			}
		}
		if got := list(t, s, ""); got != "" || len(files()) != 0 {
			t.Errorf("left behind: %s %q", got, files())
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	bad := []string{"", ".", "..", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\x00b", "a\nb", "a\x7fb", "a\u0085b", `a\b`, "a\xff", ".tmp-x", "a/.tmp-x/b", string(bytes.Repeat([]byte("a"), 1025))}
	kinds(t, func(t *testing.T, s Store, files func() []string) {
		ctx := t.Context()
		for _, key := range bad {
			_, create := s.Create(ctx, key)
			_, open := s.Open(ctx, key)
			_, stat := s.Stat(ctx, key)
			for call, err := range map[string]error{"create": create, "open": open, "stat": stat, "remove": s.Remove(ctx, key)} {
				if !errors.Is(err, pg.ErrUsage) {
					t.Errorf("%s %q: %v", call, key, err)
				}
			}
		}
		for _, prefix := range []string{"/", "../", "a//", ".tmp-", "a\n"} {
			n := 0
			for _, err := range s.List(ctx, prefix) {
				if n++; !errors.Is(err, pg.ErrUsage) {
					t.Errorf("list %q: %v", prefix, err)
				}
			}
			if n != 1 {
				t.Errorf("list %q: %d answers", prefix, n)
			}
		}
		if len(files()) != 0 {
			t.Errorf("made: %q", files())
		}
	})
}

func TestMissing(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s Store, _ func() []string) {
		mustPut(t, s, "a/b", nil)
		for _, key := range []string{"a", "none", "none/none"} {
			if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stat %s: %v", key, err)
			}
			if r, err := s.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open %s: %v", key, err)
				_, _ = io.Copy(io.Discard, r)
			}
		}
	})
}
