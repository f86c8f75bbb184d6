package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// Options say what is checked, and where.
type Options struct {
	Set *source.Set
	// Config reaches a database of the server on which the scratch database is
	// made, as a role that may make one.
	Config *pgx.ConnConfig
	// Foreign says that the server is not the check's own: what would change
	// roles or settings of the whole server is undone and refused.
	Foreign bool
	// Supabase provides what every database of Supabase has.
	Supabase bool
	// ForwardOnly says that no way down is expected.
	ForwardOnly bool
	// Prepare is SQL that the runner sends before the first file; "" for none.
	Prepare string
	// Seed is SQL that gives tables rows, beside those that are made up.
	Seed string
	// Base are the files as they were released, by name below the set's path; nil
	// without one to compare with. Only what differs is checked, as a batch.
	Base map[string]string
	// Against is a database to compare with what the migrations make; nil for none.
	Against *pgx.ConnConfig
	// OnFile is told of each file as soon as it is done; nil for nobody.
	OnFile func(FileResult)
	Log    *slog.Logger
}

// checker checks one set.
type checker struct {
	o     Options
	s     *session
	major int
	// readsPasswords says that the role may see whether a password changes.
	readsPasswords bool
	result         Result

	made     map[uint32]*statement // who made an object
	released *catalog              // before the batch, with a Base
	failed   map[string]string     // names that files would have made which failed, and the file
	unfilled map[string]bool       // tables that no row could be made up for
	seedDone map[string]bool       // statements of the seed that have worked
	used     map[*source.Allow]bool
	untimed  map[*script]bool // of which it was said that there is no lock_timeout
	several  map[*script]bool // of which it was said that it locks several tables
	live     *pgx.Conn        // to the database to compare with; nil without
	last     *facts.Facts     // the schema as the last file has left it; nil if that was not read
	types    map[typeKey]columnType
	ups      map[*source.File]*script
}

// Run checks a set of migrations on a scratch database, which is gone
// afterwards. Error: the check itself could not be made; what is wrong with the
// migrations is in the findings.
func Run(ctx context.Context, o Options) (r Result, err error) {
	warm := warmUp()
	var live *pgx.Conn
	if o.Against != nil { // if it can't be reached, say so before all the work
		if live, err = pgx.ConnectConfig(ctx, pinned(o.Against)); err != nil {
			return r, fmt.Errorf("connect to the database to compare with: %w", err)
		}
		defer func() { err = errors.Join(err, live.Close(context.WithoutCancel(ctx))) }()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &checker{
		o: o, live: live, made: map[uint32]*statement{}, failed: map[string]string{}, unfilled: map[string]bool{}, seedDone: map[string]bool{},
		used: map[*source.Allow]bool{}, untimed: map[*script]bool{}, several: map[*script]bool{}, ups: map[*source.File]*script{},
	}
	err = withScratch(ctx, o.Config, o.Foreign, func(config *pgx.ConnConfig) error {
		var err error
		if c.s, err = openSession(ctx, config); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.s.close(context.WithoutCancel(ctx))) }()
		if err := c.prepare(ctx); err != nil {
			return err
		}
		<-warm // the parser has had the time that all this took
		return c.run(ctx)
	})
	if err != nil {
		return c.result, err
	}
	return c.result, nil
}

func (c *checker) prepare(ctx context.Context) error {
	var version int
	if err := c.s.observer.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	c.major = version / 10_000
	if err := c.s.worker.QueryRow(ctx, "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')").Scan(&c.readsPasswords); err != nil {
		return err
	}
	for _, sql := range []string{c.shim(), c.o.Prepare} {
		if sql == "" {
			continue
		}
		if err := c.s.exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare the scratch database: %w", err)
		}
	}
	_, err := c.s.made(ctx) // what is there already
	return err
}

func (c *checker) run(ctx context.Context) error {
	c.problems()
	c.versions()
	for _, f := range c.o.Set.Files {
		if !c.isReleased(f) {
			continue
		}
		if _, err := c.apply(ctx, c.parsed(f)); err != nil {
			return err
		}
	}
	if c.o.Base != nil {
		var err error
		if c.released, err = readCatalog(ctx, c.s.observer); err != nil {
			return err
		}
	}
	for _, f := range c.o.Set.Files {
		if c.isReleased(f) {
			continue
		}
		if err := c.file(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	if err := c.final(ctx); err != nil {
		return err
	}
	if err := c.drift(ctx); err != nil {
		return err
	}
	c.allows()
	c.conclude()
	return nil
}

// isReleased says whether a file is as it was released.
func (c *checker) isReleased(f *source.File) bool {
	text, ok := c.o.Base[f.Name]
	return ok && text == f.Text
}

// file checks one file: what it does to tables with rows, whether it applies,
// and whether it leads back.
func (c *checker) file(ctx context.Context, f *source.File) (err error) {
	start := time.Now()
	result := FileResult{File: f.Path, State: StateApplied}
	up := c.parsed(f)
	result.Statements = len(up.statements)
	if up.before = c.released; up.before == nil {
		if up.before, err = readCatalog(ctx, c.s.observer); err != nil {
			return err
		}
	}
	if err := c.trace(ctx, up); err != nil {
		return err
	}
	before := c.last
	if f.HasDown && before == nil {
		if before, err = c.facts(ctx); err != nil {
			return err
		}
	}
	c.last = nil
	applied, err := c.apply(ctx, up)
	if err != nil {
		return err
	}
	switch {
	case !applied:
		result.State = StateFailed
	case c.unreadable(f):
		result.State = StateSkipped
	}
	c.hazards(up)
	if f.HasDown && applied {
		if err := c.roundTrip(ctx, f, up, before); err != nil {
			return err
		}
	}
	result.Seconds = time.Since(start).Seconds()
	c.result.Files = append(c.result.Files, result)
	if c.o.OnFile != nil {
		last := &c.result.Files[len(c.result.Files)-1]
		last.Found = c.findingsOf(f.Path)
		c.o.OnFile(*last)
	}
	return nil
}

// unreadable says whether no server takes the file, so that nothing of it was run.
func (c *checker) unreadable(f *source.File) bool {
	return slices.ContainsFunc(c.o.Set.Problems, func(p source.Problem) bool {
		return p.File == f.Path && (p.Kind == source.NotUTF8 || p.Kind == source.NULByte)
	})
}

func (c *checker) facts(ctx context.Context) (*facts.Facts, error) {
	return facts.Read(ctx, c.s.observer, c.major)
}
