package pgtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Accident is what a [Proxy] does to a connection.
type Accident int

// The accidents. After the first three the connection is cut.
const (
	LoseMessage Accident = iota + 1 // the server never gets it
	LoseAnswer                      // the server has done it and nobody hears of it
	LoseServer                      // LoseAnswer, and no more connections either
	Silence                         // neither side hears from the other, until the server gives up
)

// Proxy stands between a client and a server, and lets accidents happen.
type Proxy struct {
	URL string // of the database, through the proxy

	network, address string // of the server
	listener         net.Listener
	running          sync.WaitGroup

	mu       sync.Mutex
	accident Accident
	when     string
	happened int
	refuses  bool
	open     map[net.Conn]struct{}
}

// NewProxy stands before the database of a URL until the test ends.
func NewProxy(t testing.TB, database string) *Proxy {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal("pgtest: the database's URL can't be parsed")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("pgtest: proxy: %v", err)
	}
	through := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: l.Addr().String(),
		Path: "/" + cfg.Database, RawQuery: "sslmode=disable",
	}
	p := &Proxy{URL: through.String(), listener: l, open: map[net.Conn]struct{}{}}
	p.network, p.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	p.running.Go(func() { p.serve(t) })
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.refuses = true
		for c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

// Prepare lets an accident happen to the next simple query that contains when,
// as our short transactions contain their COMMIT.
func (p *Proxy) Prepare(a Accident, when string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accident, p.when = a, when
}

// Happened is how many accidents there were.
func (p *Proxy) Happened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.happened
}

// Recover lets connections through again.
func (p *Proxy) Recover() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
}

func (p *Proxy) serve(t testing.TB) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := (&net.Dialer{}).DialContext(t.Context(), p.network, p.address)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		c := &proxied{Proxy: p, client: client, server: server}
		p.running.Go(c.up)
		p.running.Go(c.down)
	}
}

// keep remembers connections, to close them; false if there are to be none.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if !p.refuses {
			p.open[c] = struct{}{}
		}
	}
	return !p.refuses
}

// strike says which accident happens to a message, if any.
func (p *Proxy) strike(message []byte) Accident {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accident == 0 || message[0] != 'Q' || !strings.Contains(string(message), p.when) {
		return 0
	}
	a := p.accident
	p.accident = 0
	p.happened++
	p.refuses = a == LoseServer
	return a
}

// proxied is one connection.
type proxied struct {
	*Proxy

	client, server net.Conn

	deaf sync.Mutex // guards lost
	lost bool       // nothing more gets to the client
}

// lose lets nothing more get to the client.
func (c *proxied) lose() {
	c.deaf.Lock()
	defer c.deaf.Unlock()
	c.lost = true
}

func (c *proxied) cut() {
	_ = c.client.Close()
	_ = c.server.Close()
}

// up passes messages on to the server.
func (c *proxied) up() {
	defer c.cut()
	for first := true; ; first = false {
		message, err := readMessage(c.client, first)
		if err != nil {
			return
		}
		switch c.strike(message) {
		case LoseMessage:
			return
		case LoseAnswer, LoseServer:
			c.lose()
		case Silence:
			c.lose()
			_, _ = io.Copy(io.Discard, c.client) // until the server has given up
			return
		}
		if _, err := c.server.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads one message of the frontend; the first has no type, and a
// request for TLS is one more without: sslmode is disable.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
func readMessage(r io.Reader, first bool) ([]byte, error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[len(head)-4:])
	if length < 4 || length > 64<<20 {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message := make([]byte, len(head)+int(length)-4)
	copy(message, head)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// readyForQuery begins the last message of the answer to a simple query, with
// which the server flushes what it has.
var readyForQuery = []byte{'Z', 0, 0, 0, 5}

// down passes answers on to the client, or loses one and cuts the connection
// once the server has given it.
func (c *proxied) down() {
	defer c.cut()
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buffer)
		if n > 0 {
			c.deaf.Lock()
			lost := c.lost
			c.deaf.Unlock()
			if lost && n > 5 && bytes.Equal(buffer[n-6:n-1], readyForQuery) {
				return
			}
			if !lost {
				if _, err := c.client.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}
