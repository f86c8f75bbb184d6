package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// relay passes the library's requests on to a repository. The library uses
// http.Get, which has no deadline, takes no context and, where the checksum is
// missing, goes on without; here all three are had.
type relay struct {
	url      string
	base     string
	ctx      context.Context //nolint:containedctx // a relay lives as long as the call that it serves
	client   *http.Client
	server   *http.Server
	served   chan struct{}
	first    func()
	announce func(bytes int64)

	once sync.Once
	mu   sync.Mutex
	errs []error
}

// newRelay serves until close. first is called at the first request, announce
// with the size of each archive (-1: not known) before it is passed on.
func newRelay(ctx context.Context, base string, first func(), announce func(int64)) (*relay, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{
		url: "http://" + l.Addr().String(), base: strings.TrimSuffix(base, "/"), ctx: ctx,
		first: first, announce: announce, served: make(chan struct{}),
		// Short enough for a host that swallows what one sends it.
		client: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 15 * time.Second,
		}},
	}
	r.server = &http.Server{Handler: r}
	go func() {
		defer close(r.served)
		_ = r.server.Serve(l) // it ends by close
	}()
	return r, nil
}

// close ends the connections of both sides.
func (r *relay) close() {
	_ = r.server.Close()
	<-r.served
	r.client.CloseIdleConnections()
}

// failure is what went wrong on the far side, which the library hides.
func (r *relay) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.once.Do(r.first)
	if err := r.pass(w, req.URL.Path); err != nil {
		r.mu.Lock()
		r.errs = append(r.errs, err)
		r.mu.Unlock()
		panic(http.ErrAbortHandler) // the library sees a broken connection
	}
}

func (r *relay) pass(w http.ResponseWriter, name string) error {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.base+name, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path.Base(name), resp.Status)
	}
	if strings.HasSuffix(name, ".jar") {
		r.announce(resp.ContentLength)
	}
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
