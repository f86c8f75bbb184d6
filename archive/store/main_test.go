package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/atlasctl/atlasctl/archive/store/s3test"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestMain(m *testing.M) {
	s3test.Setenv()
	goleak.VerifyTestMain(m)
}

// kinds runs a test with an empty store of each kind. files is what lies there
// on the disk.
func kinds(t *testing.T, test func(t *testing.T, s Store, files func() []string)) {
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		root := filepath.Join(t.TempDir(), "archive")
		test(t, open(t, root, Options{}), func() []string { return tree(t, root) })
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		g := s3test.Server(t)
		s := open(t, g.Destination()+"/some/prefix/", Options{Endpoint: g.Endpoint})
		test(t, s, func() []string { return tree(t, g.Dir()) })
	})
}

func open(t testing.TB, destination string, o Options) Store {
	t.Helper()
	s, err := Open(t.Context(), destination, o)
	if err != nil {
		t.Fatalf("open: %v %q", err, pg.Hints(err))
	}
	return s
}

// tree names the files below a directory, those of the server itself left out.
func tree(t testing.TB, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() && !strings.Contains(path, ".sgwtmp") {
			files = append(files, strings.TrimPrefix(path, root+string(filepath.Separator)))
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func mustPut(t testing.TB, s Store, key string, content []byte) {
	t.Helper()
	if err := put(t.Context(), s, key, content); err != nil {
		t.Fatalf("put: %v %q", err, pg.Hints(err))
	}
}

func mustRead(t testing.TB, s Store, key string) []byte {
	t.Helper()
	b, err := read(t.Context(), s, key)
	if err != nil {
		t.Fatalf("read: %v %q", err, pg.Hints(err))
	}
	return b
}

func begin(ctx context.Context, t testing.TB, s Store, key string) Object {
	t.Helper()
	o, err := s.Create(ctx, key)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return o
}

// list is what is listed under a prefix: keys, with "?" after the unfinished.
func list(t testing.TB, s Store, prefix string) string {
	t.Helper()
	var keys []string
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if info.Unfinished {
			info.Key += "?"
		}
		keys = append(keys, info.Key)
	}
	return strings.Join(keys, " ")
}

// noise is content that is the same for the same seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), 1}).Read(b)
	return b
}

// expect fails unless an error is of a class, has a hint, names the
// destination, and says all of these, and no secret.
func expect(t testing.TB, err, class error, s Store, says ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error %v, want class %v", err, class)
	}
	text := err.Error() + "\n" + strings.Join(pg.Hints(err), "\n")
	if len(pg.Hints(err)) == 0 {
		t.Errorf("no hint: %s", text)
	}
	for _, want := range append(says, s.String()) {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %q\nin: %s", want, text)
		}
	}
	for _, secret := range []string{s3test.SecretKey, "X-Amz-Signature", "X-Amz-Credential", "x-id="} {
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("a secret is said: %s", text)
		}
	}
}
