package partitions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// Step is one thing to do, as plan, dry run, convert, revert and resume all
// see it. A step is either one transaction that begins with locks, or a list
// of statements that each stand alone.
type Step struct {
	Name string `json:"name"`
	// SQL is all that is sent to the server, in psql's form.
	SQL []string `json:"sql"`
	// Lock is the strongest lock that it takes on the user's tables, in words.
	Lock string `json:"lock"`
	// Scans says whether it reads the whole table (never under a lock that
	// stops readers or writers).
	Scans      bool `json:"scans"`
	Reversible bool `json:"reversible"`
	// Done is what the catalogs say.
	Done bool `json:"done"`
	// Window is what a step waits for, as an interval of ISO 8601.
	Window string `json:"window,omitempty"`
	// Files says that rows go to or come from files, which SQL alone does not do.
	Files bool `json:"files,omitempty"`

	opens time.Time // the beginning of Window
	// bookkeeping steps change nothing but atlasctl's own schema.
	bookkeeping bool
	// piecemeal steps commit as they go: one that fails may have changed something.
	piecemeal bool
	run       func(ctx context.Context) (pg.Held, error)
}

// Event tells a caller that follows along what happens.
type Event struct {
	Table pg.Name
	Step  string
	Done  bool
	Took  time.Duration
	// Until is set for a step that does nothing before that.
	Until time.Time
	// Progress is set while a step goes on.
	Progress *rowcopy.Progress
}

// switchTimeout stops a statement of a short transaction that turns out not to
// be short, before others have queued for long.
const switchTimeout = 10 * time.Second

// lockedStep makes a step of one transaction.
func lockedStep(db *pg.DB, s Step, l pg.Locked, sql []string) Step {
	if l.Body == nil {
		l.Body = pg.Fixed(sql...)
	}
	if l.StatementTimeout == 0 {
		l.StatementTimeout = switchTimeout
	}
	s.SQL = transaction(db.LockTimeout, l.Locks, sql)
	s.run = func(ctx context.Context) (pg.Held, error) { return db.RunLocked(ctx, l) }
	return s
}

// transaction is a locked transaction as a person would feed it to psql.
func transaction(lockTimeout time.Duration, locks, sql []string) []string {
	all := []string{"BEGIN", fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", lockTimeout.Milliseconds())}
	all = append(all, locks...)
	all = append(all, sql...)
	return append(all, "COMMIT")
}

// outsideStep makes a step of statements that can't be in a transaction.
func outsideStep(db *pg.DB, s Step, sql ...string) Step {
	s.SQL = sql
	s.run = func(ctx context.Context) (pg.Held, error) {
		for i, q := range sql {
			if err := db.RunOutside(ctx, s.Name, q); err != nil {
				if i > 0 {
					err = pg.Stoppedf("%w", err)
				}
				return pg.Held{}, err
			}
		}
		return pg.Held{}, nil
	}
	return s
}

// Script is the SQL of the steps that are not done, ready for psql.
func Script(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		if !s.Done && s.Window != "" {
			fmt.Fprintf(&b, "-- %s for the window %s\n\n", s.Name, s.Window)
		}
		if s.Done || len(s.SQL) == 0 {
			continue
		}
		fmt.Fprintf(&b, "-- %s", s.Name)
		if s.Lock != "" {
			fmt.Fprintf(&b, " (%s)", s.Lock)
		}
		b.WriteByte('\n')
		for _, q := range s.SQL {
			b.WriteString(q)
			b.WriteString(";\n")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
