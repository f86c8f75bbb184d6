package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/atlasctl/atlasctl/archive/store/s3test"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// proxied is a bucket behind a proxy, and the same without.
func proxied(t *testing.T) (through, direct Store, p *s3test.Proxy, g *s3test.Gateway) {
	t.Helper()
	g = s3test.Server(t)
	p = g.Proxy(t)
	return open(t, g.Destination()+"/p", Options{Endpoint: p.Endpoint}), open(t, g.Destination()+"/p", Options{Endpoint: g.Endpoint}), p, g
}

const big = partSize + 1 // needs a multipart upload

// empty fails if anything is left in a bucket.
func empty(t *testing.T, s Store, g *s3test.Gateway) {
	t.Helper()
	if got := list(t, s, ""); got != "" || len(tree(t, g.Dir())) != 0 {
		t.Errorf("left behind: %s %q", got, tree(t, g.Dir()))
	}
}

func TestLostAnswerOfComplete(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		call string
		size int
	}{{"PutObject", 10}, {"CompleteMultipartUpload", big}} {
		t.Run(tc.call, func(t *testing.T) {
			t.Parallel()
			s, _, p, _ := proxied(t)
			for _, times := range []int{1, 0} { // 0: the client gives up
				p.Prepare(s3test.Fault{Call: tc.call, Times: times, LoseAnswer: true})
				key := map[int]string{1: "once", 0: "always"}[times]
				mustPut(t, s, key, noise(1, tc.size))
				if p.Happened() == 0 {
					t.Error("nothing happened")
				}
				if !bytes.Equal(mustRead(t, s, key), noise(1, tc.size)) {
					t.Error("is not what was written")
				}
			}
			// Another's is told from ours.
			p.Prepare(s3test.Fault{Call: tc.call, LoseAnswer: true})
			expect(t, put(t.Context(), s, "once", noise(2, tc.size)), ErrExists, s)
			p.Prepare()
			if got := list(t, s, ""); got != "always once" {
				t.Errorf("left: %s", got)
			}
		})
	}
}

func TestCutUpload(t *testing.T) {
	t.Parallel()
	s, direct, p, g := proxied(t)
	p.Prepare(s3test.Fault{Call: "UploadPart", Times: 1, CutRequest: 100_000})
	mustPut(t, s, "tried again", noise(1, big))
	if p.Happened() != 1 || !bytes.Equal(mustRead(t, s, "tried again"), noise(1, big)) {
		t.Errorf("%d cuts", p.Happened())
	}
	if err := s.Remove(t.Context(), "tried again"); err != nil {
		t.Fatal(err)
	}
	p.Prepare(s3test.Fault{Call: "UploadPart", CutRequest: 100_000})
	o := begin(t.Context(), t, s, "key")
	_, err := o.Write(noise(1, big))
	if err == nil {
		err = o.Commit(t.Context())
	}
	expect(t, err, ErrUnreachable, s, "no answer", "after 2 tries", "key")
	if err := o.Commit(t.Context()); err == nil {
		t.Error("committed with a part missing")
	}
	if err := o.Abort(); err != nil {
		t.Error(err)
	}
	empty(t, direct, g)
}

func TestCutAnswer(t *testing.T) {
	t.Parallel()
	s, _, p, _ := proxied(t)
	mustPut(t, s, "key", noise(1, 1<<20))
	p.Prepare(s3test.Fault{Call: "GetObject", CutAnswer: 300_000})
	got, err := read(t.Context(), s, "key")
	expect(t, err, ErrUnreachable, s, "get ", "key")
	if len(got) > 300_000 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestFlippedByte(t *testing.T) {
	t.Parallel()
	s, _, p, _ := proxied(t)
	for _, size := range []int{1 << 20, big} {
		if err := s.Remove(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, "key", noise(1, size))
		p.Prepare(s3test.Fault{Call: "GetObject", Flip: true})
		if _, err := read(t.Context(), s, "key"); err == nil || p.Happened() != 1 {
			t.Errorf("%d bytes: read without an error", size)
		}
		p.Prepare()
	}
}

func TestSlowDownThatEnds(t *testing.T) {
	t.Parallel()
	s, _, p, _ := proxied(t)
	p.Prepare(s3test.SlowDown(1))
	mustPut(t, s, "key", noise(1, 1000))
	if p.Happened() != 1 || !bytes.Equal(mustRead(t, s, "key"), noise(1, 1000)) {
		t.Errorf("%d refusals", p.Happened())
	}
}

func TestSlowDownThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s, direct, p, g := proxied(t)
	busy := s3test.SlowDown(0)
	busy.Call = "PutObject"
	p.Prepare(busy)
	expect(t, put(t.Context(), s, "key", noise(1, 1000)), ErrBusy, s, "SlowDown", "after 2 tries", s3test.RequestID)
	empty(t, direct, g)
}

func TestSlowLinkAndCancel(t *testing.T) {
	t.Parallel()
	s, direct, p, g := proxied(t)
	p.Prepare(s3test.Fault{Call: "UploadPart", Rate: 200_000})
	ctx, cancel := context.WithCancel(t.Context())
	o := begin(ctx, t, s, "key")
	data := noise(1, 5*partSize)
	time.AfterFunc(300*time.Millisecond, cancel)
	start := time.Now()
	_, err := o.Write(data) // waits for a worker
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	if err := o.Abort(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %s", took)
	}

	// And in Commit, whose context may be another.
	o = begin(t.Context(), t, s, "key")
	if _, err := o.Write(noise(1, 2*partSize)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := o.Commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("commit: %v", err)
	}

	// Abort doesn't wait for the line either.
	o = begin(t.Context(), t, s, "key")
	if _, err := o.Write(noise(1, 2*partSize)); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	if err := o.Abort(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("Abort took %s", took)
	}
	empty(t, direct, g)
}

func TestServerKilled(t *testing.T) {
	t.Parallel()
	g := s3test.Server(t)
	s := open(t, g.Destination()+"/p", Options{Endpoint: g.Endpoint})
	o := begin(t.Context(), t, s, "d/key")
	if _, err := o.Write(noise(1, partSize+1)); err != nil { // the upload is open, its first part sent
		t.Fatal(err)
	}
	waitForPart(t, s, o.(*upload))
	g.Kill()
	expect(t, o.Commit(t.Context()), ErrUnreachable, s, "refused")
	g.Restart()
	if got := list(t, s, ""); got != "d/key?" {
		t.Fatalf("listed: %s", got)
	}
	if err := s.Remove(t.Context(), "d/key"); err != nil {
		t.Fatal(err)
	}
	empty(t, s, g)
	mustPut(t, s, "d/key", noise(2, partSize+1))
	if !bytes.Equal(mustRead(t, s, "d/key"), noise(2, partSize+1)) {
		t.Error("is not what was written")
	}
}

func waitForPart(t *testing.T, s Store, u *upload) {
	t.Helper()
	for range 1000 {
		u.multi.mu.Lock()
		n := len(u.multi.sent)
		u.multi.mu.Unlock()
		if n > 0 {
			return
		}
		if err := pg.Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("no part was sent to %s", s)
}

// What a bucket promises that knows no conditions, or overlooks them.
func TestWithoutPutIfAbsent(t *testing.T) {
	t.Parallel()
	for want, status := range map[Support]int{Absent: 501, Ignored: 200} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			s, direct, p, g := proxied(t)
			if want == Absent {
				p.Prepare(s3test.Fault{Call: "PutObject", Times: 1, Status: status, Body: s3test.Error("NotImplemented", "A header you provided implies functionality that is not implemented")})
			} else {
				p.Prepare(s3test.Fault{Call: "CompleteMultipartUpload", Times: 1, Status: status, Body: completed})
			}
			c, err := s.Probe(t.Context())
			if err != nil {
				t.Fatalf("%v %q", err, pg.Hints(err))
			}
			if c.PutIfAbsent != want || p.Happened() != 1 {
				t.Errorf("%+v", c)
			}
			empty(t, direct, g)
			if s.(*bucket).conditional() {
				t.Error("the condition is still sent")
			}
			for _, size := range []int{10, partSize + 1} {
				mustPut(t, s, "key", noise(1, size))
				expect(t, put(t.Context(), s, "key", noise(2, size)), ErrExists, s)
				if !bytes.Equal(mustRead(t, s, "key"), noise(1, size)) {
					t.Error("the object was changed")
				}
				if err := s.Remove(t.Context(), "key"); err != nil {
					t.Fatal(err)
				}
			}
			empty(t, direct, g)
		})
	}
}

const completed = `<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><Key>k</Key><ETag>"x-1"</ETag></CompleteMultipartUploadResult>`

func TestChecksums(t *testing.T) {
	t.Parallel()
	for _, whenRequired := range []bool{false, true} {
		t.Run(fmt.Sprint(whenRequired), func(t *testing.T) {
			t.Parallel()
			g := s3test.Server(t)
			p := g.Proxy(t)
			s := open(t, g.Destination(), Options{Endpoint: p.Endpoint, ChecksumWhenRequired: whenRequired})
			if _, err := s.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustPut(t, s, "small", noise(1, 10))
			mustPut(t, s, "big", noise(1, big))
			for _, call := range []string{"PutObject", "UploadPart"} {
				for _, h := range p.Requests(call) {
					if sent := h.Get("X-Amz-Checksum-Crc64nvme") != "" || h.Get("X-Amz-Sdk-Checksum-Algorithm") != ""; sent == whenRequired {
						t.Errorf("%s: %v", call, h)
					}
				}
			}
			if !bytes.Equal(mustRead(t, s, "small"), noise(1, 10)) || !bytes.Equal(mustRead(t, s, "big"), noise(1, big)) {
				t.Error("is not what was written")
			}
			if whenRequired {
				return
			}
			// It is that of the whole object, not of its parts.
			b := s.(*bucket)
			out, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.name, Key: b.full("big"), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			hash := crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) // NVME's polynomial, reversed
			hash.Write(noise(1, big))
			if want := base64.StdEncoding.EncodeToString(hash.Sum(nil)); aws.ToString(out.ChecksumCRC64NVME) != want {
				t.Errorf("checksum %s, want %s", aws.ToString(out.ChecksumCRC64NVME), want)
			}
		})
	}
}

// The test's server has no keys; what counts is what it is asked.
func TestEncryptionIsAskedFor(t *testing.T) {
	t.Parallel()
	g := s3test.Server(t)
	for sse, want := range map[string][2]string{
		"": {"", ""}, "AES256": {"AES256", ""}, "aws:kms": {"aws:kms", ""},
		"aws:kms:arn:aws:kms:eu-west-1:1:key/2": {"aws:kms", "arn:aws:kms:eu-west-1:1:key/2"},
	} {
		p := g.Proxy(t)
		s := open(t, g.Destination(), Options{Endpoint: p.Endpoint, SSE: sse})
		_ = put(t.Context(), s, "small", noise(1, 10))
		o := begin(t.Context(), t, s, "big")
		_, _ = o.Write(noise(1, big))
		_ = o.Abort()
		for _, call := range []string{"PutObject", "CreateMultipartUpload"} {
			requests := p.Requests(call)
			if len(requests) == 0 {
				t.Errorf("%s: no %s", sse, call)
			}
			for _, h := range requests {
				got := [2]string{h.Get("X-Amz-Server-Side-Encryption"), h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")}
				if got != want {
					t.Errorf("%s: %s: %q", sse, call, got)
				}
			}
		}
	}
}

// A lost answer leaves an upload whose id nobody has heard.
func TestLostAnswerOfBegin(t *testing.T) {
	t.Parallel()
	s, direct, p, _ := proxied(t)
	p.Prepare(s3test.Fault{Call: "CreateMultipartUpload", Times: 1, LoseAnswer: true})
	o := begin(t.Context(), t, s, "key")
	if _, err := o.Write(noise(1, big)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, direct, ""); got != "key? key?" {
		t.Errorf("listed: %s", got)
	}
	if err := o.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := list(t, direct, ""); got != "key" {
		t.Errorf("left: %s", got)
	}
}

// Two hundred megabytes on their way hold no more than three parts.
func TestMemory(t *testing.T) { // not parallel: looks at the whole heap
	g := s3test.Server(t)
	s := open(t, g.Destination(), Options{Endpoint: g.Endpoint})
	chunk := noise(1, 1<<20)
	runtime.GC()
	var peak atomic.Uint64
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	o := begin(t.Context(), t, s, "key")
	for range 200 {
		if _, err := o.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	t.Logf("peak of the heap: %d MiB", peak.Load()>>20)
	if peak.Load() > 64<<20 {
		t.Errorf("the heap grew to %d MiB", peak.Load()>>20)
	}
	if info, err := s.Stat(t.Context(), "key"); err != nil || info.Bytes != 200<<20 {
		t.Errorf("%+v %v", info, err)
	}
}
