package s3test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is an accident that happens to requests.
type Fault struct {
	Call  string // the S3 operation, "PutObject"; "": every one
	Times int    // how often it happens; 0: until [Proxy.Prepare] is called again

	Delay  time.Duration // before the request goes on
	Rate   int           // bytes a second, in both directions
	Status int           // answered in place of the server, with
	Header http.Header   // and
	Body   string        // as by [Error]

	CutRequest int64 // the connection ends after this much of the request's body
	CutAnswer  int64 // … or of the answer's
	LoseAnswer bool  // it ends when the server has done it
	Flip       bool  // one bit of the answer's first byte
}

// RequestID is that of the answers that a [Proxy] gives by itself.
const RequestID = "4442587FB7D0A2F9"

// Error is the body of an S3 error.
func Error(code, message string) string {
	var b strings.Builder
	b.WriteString(xml.Header + "<Error><Code>")
	_ = xml.EscapeText(&b, []byte(code))
	b.WriteString("</Code><Message>")
	_ = xml.EscapeText(&b, []byte(message))
	b.WriteString("</Message><RequestId>" + RequestID + "</RequestId><HostId>host</HostId></Error>")
	return b.String()
}

// SlowDown is the answer of a server that has too much to do.
func SlowDown(times int) Fault {
	return Fault{Times: times, Status: http.StatusServiceUnavailable, Body: Error("SlowDown", "Please reduce your request rate.")}
}

// Proxy stands between clients and a server. It does nothing to requests but
// what was prepared; their signatures stay valid.
type Proxy struct {
	Endpoint string // URL

	forward *httputil.ReverseProxy

	mu       sync.Mutex
	faults   []Fault
	happened int
	requests map[string][]http.Header
}

// Proxy stands before the server until the test ends.
func (g *Gateway) Proxy(t testing.TB) *Proxy {
	t.Helper()
	server, err := url.Parse(g.Endpoint)
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	transport := &http.Transport{DisableCompression: true}
	p := &Proxy{requests: map[string][]http.Header{}, forward: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host // which is signed
		},
		Transport:      transport,
		ModifyResponse: strikeAnswer,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // accidents are no news
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = nil
	s.Start()
	p.Endpoint = s.URL
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Prepare lets accidents happen from now on, and no others. To a request
// happens the first that fits.
func (p *Proxy) Prepare(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.happened = slices.Clone(faults), 0
}

// Happened is how many accidents there were since Prepare.
func (p *Proxy) Happened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.happened
}

// Requests are the headers of the requests for an operation.
func (p *Proxy) Requests(operation string) []http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests[operation])
}

func (p *Proxy) strike(call string, header http.Header) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[call] = append(p.requests[call], header.Clone())
	for i := range p.faults {
		f := &p.faults[i]
		if (f.Call != "" && f.Call != call) || f.Times < 0 {
			continue
		}
		if f.Times == 1 {
			f.Times = -1 // used up
		} else if f.Times > 1 {
			f.Times--
		}
		p.happened++
		return *f, true
	}
	return Fault{}, false
}

type faultKey struct{}

// ServeHTTP passes a request on, or not.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := p.strike(operation(r), r.Header)
	if !ok {
		p.forward.ServeHTTP(w, r)
		return
	}
	select {
	case <-time.After(f.Delay):
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		_, _ = io.Copy(io.Discard, r.Body) // a client that is still sending would not read the answer
		maps.Copy(w.Header(), f.Header)
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Amz-Request-Id", RequestID)
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return
	}
	r.Body = f.through(r.Context(), r.Body, f.CutRequest)
	p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
}

// errAccident ends a connection.
var errAccident = errors.New("accident")

func strikeAnswer(r *http.Response) error {
	f, ok := r.Request.Context().Value(faultKey{}).(Fault)
	if !ok {
		return nil
	}
	if f.LoseAnswer {
		return errAccident
	}
	r.Body = f.through(r.Request.Context(), r.Body, f.CutAnswer)
	if f.Flip {
		r.Body = &flipped{ReadCloser: r.Body}
	}
	return nil
}

// through is a body on its way through the proxy.
func (f Fault) through(ctx context.Context, body io.ReadCloser, limit int64) io.ReadCloser {
	if limit > 0 {
		body = &cut{body, limit}
	}
	if f.Rate > 0 {
		body = &slow{body, ctx, f.Rate}
	}
	return body
}

type cut struct {
	io.ReadCloser

	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errAccident
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

type slow struct {
	io.ReadCloser

	ctx  context.Context //nolint:containedctx // that of the request
	rate int
}

func (s *slow) Read(p []byte) (int, error) {
	const tick = 20 * time.Millisecond
	select {
	case <-time.After(tick):
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
	return s.ReadCloser.Read(p[:min(len(p), max(s.rate*int(tick/time.Millisecond)/1000, 1))])
}

type flipped struct {
	io.ReadCloser

	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// operation is what a request asks for, of what a [store.Store] asks for.
func operation(r *http.Request) string {
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case key == "" && q.Has("uploads"):
		return "ListMultipartUploads"
	case key == "" && q.Has("list-type"):
		return "ListObjectsV2"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodHead:
		return "HeadObject"
	}
	return map[string]string{
		http.MethodGet: "GetObject", http.MethodPut: "PutObject", http.MethodDelete: "DeleteObject",
	}[r.Method]
}
