package archive

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/archive/store/s3test"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// inBucket are the options of an export into a bucket, through a proxy.
func inBucket(t *testing.T) (Options, *s3test.Gateway, *s3test.Proxy) {
	t.Helper()
	g := s3test.Server(t)
	p := g.Proxy(t)
	o := manyFiles(t)
	o.Exact = false
	o.To, o.Store = g.Destination()+"/atlas", store.Options{Endpoint: p.Endpoint, PathStyle: true}
	return o, g, p
}

// allInBucket proves by a copy of every range that the bucket holds what the
// table held, and by its list that it holds nothing else.
func allInBucket(t *testing.T, url, before string, g *s3test.Gateway) {
	t.Helper()
	direct := store.Options{Endpoint: g.Endpoint, PathStyle: true}
	v := mustVerify(t, url, VerifyOptions{Store: direct})
	if len(v.Findings) > 0 {
		t.Errorf("verify: %+v", v.Findings)
	}
	for _, e := range entries(t, url) {
		if e.State != StateArchived {
			t.Errorf("entry %+v", e)
		}
		r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive, Store: direct})
		if err != nil || r.State != StateRestored {
			t.Fatalf("restore: %+v, %v", r, err)
		}
	}
	if after := total(t, url, "messages"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
}

// TestBucketFaults: whatever a bucket does, rows are in the table until it has
// them, and the next run ends what this one began.
func TestBucketFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault s3test.Fault
		at    string // the place from which on
		want  error  // nil: it is got over
		says  string
	}{
		"slow down":         {s3test.SlowDown(1), "before write", nil, ""},
		"denied at once":    {s3test.Fault{Status: 403, Body: s3test.Error("AccessDenied", "Access Denied")}, "before guard", store.ErrDenied, "AccessDenied"},
		"denied later":      {s3test.Fault{Call: "PutObject", Status: 403, Body: s3test.Error("AccessDenied", "Access Denied")}, "before write", store.ErrDenied, "AccessDenied"},
		"expired later":     {s3test.Fault{Status: 400, Body: s3test.Error("ExpiredToken", "The provided token has expired.")}, "before publish", store.ErrExpired, ""},
		"skewed clock":      {s3test.Fault{Status: 403, Header: http.Header{"Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}}, Body: s3test.Error("RequestTimeTooSkewed", "The difference is too large.")}, "before write", store.ErrClock, ""},
		"never answers 200": {s3test.Fault{Call: "PutObject", Status: 503, Body: s3test.Error("SlowDown", "Reduce your request rate.")}, "before write", store.ErrBusy, ""},
		"lost answer":       {s3test.Fault{Call: "PutObject", LoseAnswer: true, Times: 1}, "before write", nil, ""},
		"cut upload":        {s3test.Fault{Call: "PutObject", CutRequest: 200, Times: 1}, "before write", nil, ""},
		"flipped on return": {s3test.Fault{Call: "GetObject", Flip: true, Times: 1}, "before read back", nil, ""},
		"cut on return":     {s3test.Fault{Call: "GetObject", CutAnswer: 100, Times: 1}, "before read back", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, g, p := inBucket(t)
			url := database(t, small)
			before := total(t, url, "messages")
			o.at = once(tc.at, func() { p.Prepare(tc.fault) })
			_, err := Run(t.Context(), open(t, url), spec("messages"), o)
			switch {
			case tc.want == nil && err != nil && !strings.HasSuffix(name, "on return"): // noticed, and read again by the next run
				t.Fatalf("%v (%v)", err, pg.Hints(err))
			case tc.want != nil && (!errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says)):
				t.Fatalf("error %v, want %v", err, tc.want)
			case tc.want != nil:
				if errors.Is(err, pg.ErrStopped) {
					t.Errorf("the session was lost: %v", err)
				}
				if after := total(t, url, "messages"); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
				if len(pg.Hints(err)) < 2 {
					t.Errorf("hints %q: want what is safe, and what to do", pg.Hints(err))
				}
			}
			p.Prepare()
			o.at = nil
			mustRun(t, url, spec("messages"), o)
			allInBucket(t, url, before, g)
		})
	}
}

// TestBucketThatIsNotThere: nothing is begun.
func TestBucketThatIsNotThere(t *testing.T) {
	t.Parallel()
	o, g, _ := inBucket(t)
	url := database(t, small)
	facts := pgtest.Schema(t, url)
	for name, change := range map[string]func(*Options){
		"no such bucket": func(o *Options) { o.To = "s3://no-such-bucket/x"; o.Store.Endpoint = g.Endpoint },
		"no server":      func(o *Options) { o.Store.Endpoint = "http://127.0.0.1:1" },
		"below a file":   func(o *Options) { o.To = "/dev/null/x" },
	} {
		o := o
		change(&o)
		if _, err := Run(t.Context(), open(t, url), spec("messages"), o); err == nil || errors.Is(err, pg.ErrStopped) {
			t.Errorf("%s: %v", name, err)
		}
		if got := pgtest.Schema(t, url); got != facts {
			t.Errorf("%s: the schema has changed", name)
		}
		if n := len(entries(t, url)); n > 0 {
			t.Errorf("%s: %d entries", name, n)
		}
	}
}

// TestBucketServerDies while a file is being written, and comes back.
func TestBucketServerDies(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"before commit of file", "file stored", "before publish", "file read back", "after seal"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			o, g, _ := inBucket(t)
			o.Store.Endpoint = g.Endpoint
			url := database(t, small)
			before := total(t, url, "messages")
			o.at = once(at, g.Kill)
			_, err := Run(t.Context(), open(t, url), spec("messages"), o)
			if err == nil {
				t.Fatal("nobody missed the server")
			}
			g.Restart()
			o.at = nil
			mustRun(t, url, spec("messages"), o)
			allInBucket(t, url, before, g)
		})
	}
}

// Ctrl-C on a slow link ends soon, and leaves nothing that is not ours.
func TestSlowLinkIsInterrupted(t *testing.T) {
	t.Parallel()
	o, g, p := inBucket(t)
	url := database(t, small)
	before := total(t, url, "messages")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.at = once("file named", func() {
		p.Prepare(s3test.Fault{Rate: 1000})
		time.AfterFunc(300*time.Millisecond, cancel)
	})
	began := time.Now()
	_, err := Run(ctx, open(t, url), spec("messages"), o)
	if !errors.Is(err, ctx.Err()) || time.Since(began) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if after := total(t, url, "messages"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	p.Prepare()
	o.at = nil
	mustRun(t, url, spec("messages"), o)
	allInBucket(t, url, before, g)
}
