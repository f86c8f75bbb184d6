package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/atlasctl/atlasctl/archive/store/s3test"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string]string{
		"archive":                    filepath.Join(wd, "archive"),
		"../x/./archive/":            filepath.Join(filepath.Dir(wd), "x", "archive"),
		"/srv/archive//":             "/srv/archive",
		"/srv/with space, é and %20": "/srv/with space, é and %20",
		"file:///srv/archive":        "/srv/archive",
		"file://localhost/srv/a%20b": "/srv/a b",
		"s3://bucket":                "s3://bucket",
		"s3://bucket/":               "s3://bucket",
		"s3://my.bucket-1/a/b=c/":    "s3://my.bucket-1/a/b=c",
	} {
		if got := open(t, destination, Options{}).String(); got != want {
			t.Errorf("%s: %s, want %s", destination, got, want)
		}
	}
	if _, err := os.Stat("archive"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open has made something: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "hunter2"
	for _, tc := range []struct {
		destination string
		o           Options
		says        string
	}{
		{"", Options{}, "no destination"},
		{file, Options{}, "is a file"},
		{"/srv/a\nb", Options{}, "control character"},
		{"file://server/share", Options{}, "absolute path"},
		{"file://user:hunter2@localhost/share", Options{}, "absolute path"},
		{"file:///a?b", Options{}, "absolute path"},
		{"gs://bucket/x", Options{}, "gs://"},
		{"https://key:hunter2@bucket.s3.amazonaws.com", Options{}, "https://"},
		{"s3://key:hunter2@bucket/x", Options{}, "has a user"},
		{"s3://", Options{}, "name of a bucket"},
		{"s3:///x", Options{}, "name of a bucket"},
		{"s3://Bucket_1/x", Options{}, "name of a bucket"},
		{"s3://bucket/../x", Options{}, "not a relative path"},
		{"s3://bucket//x", Options{}, "not a relative path"},
		{"s3://bucket", Options{SSE: "AES512"}, "AES512"},
		{"s3://bucket", Options{SSE: "aws:kms:"}, "aws:kms:"},
		{"s3://bucket", Options{Endpoint: "127.0.0.1:9000"}, "endpoint"},
		{"s3://bucket", Options{Endpoint: "https://key:hunter2@server"}, "endpoint"},
	} {
		_, err := Open(t.Context(), tc.destination, tc.o)
		if !errors.Is(err, pg.ErrUsage) {
			t.Errorf("%q %+v: %v", tc.destination, tc.o, err)
			continue
		}
		if text := fmt.Sprint(err, pg.Hints(err)); !strings.Contains(text, tc.says) || strings.Contains(text, secret) {
			t.Errorf("%q: %s", tc.destination, text)
		}
	}
}

func TestRegionIsNeededForAWSOnly(t *testing.T) { // not parallel: sets variables
	t.Setenv("AWS_REGION", "")
	if _, err := Open(t.Context(), "s3://bucket", Options{}); !errors.Is(err, pg.ErrUsage) || len(pg.Hints(err)) == 0 {
		t.Errorf("%v", err)
	}
	open(t, "s3://bucket", Options{Region: "eu-central-1"})
	open(t, "s3://bucket", Options{Endpoint: "http://127.0.0.1:1"})
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
	open(t, "s3://bucket", Options{})
}

// What every AWS tool understands is enough.
func TestEnvironment(t *testing.T) { // not parallel: sets variables
	g := s3test.Server(t)
	for _, v := range g.Env() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	s := open(t, g.Destination(), Options{})
	if _, err := s.Probe(t.Context()); err != nil {
		t.Errorf("%v %q", err, pg.Hints(err))
	}
}

// Whatever is a key stays below the root.
func TestKeysStayBelowTheRoot(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), Options{}).(*directory)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOf(rapid.RuneFrom([]rune(`./\:a~-é `))).Draw(t, "key")
		path, err := d.path(key)
		if err != nil {
			return
		}
		rel, err := filepath.Rel(d.root, path)
		if err != nil || filepath.ToSlash(rel) != key || !filepath.IsLocal(rel) {
			t.Fatalf("%q: %s %v", key, rel, err)
		}
	})
}
