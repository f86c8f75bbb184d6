package archive

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

func (j *job) nothingExpired() {
	j.find(pg.Info, "020", fmt.Sprintf("nothing in %s is older than %s", j.live.Name, j.cutoff.Text), nil, "")
}

// notices say what the work means for others, once it is known to be possible.
func (j *job) notices() {
	keys := map[string]bool{}
	for _, m := range j.leaves {
		f, ok := j.facts[m.oid]
		if !ok {
			continue
		}
		for i, k := range f.ForeignKeys {
			if !keys[k] {
				keys[k] = true
				j.find(pg.Info, "021", fmt.Sprintf("a leaf loses foreign key %s when it goes to the archive, so that a deleted row of %s does not shrink it",
					k, strings.Join(f.Referenced, ", ")), map[string]any{"constraint": k, "position": i, "references": f.Referenced}, "")
			}
		}
	}
	if d := j.live.DefaultLeaf(); d != nil && len(j.leaves)+len(j.exports) > 0 {
		j.find(pg.Warn, "027", fmt.Sprintf("%s has a DEFAULT partition, %s: PostgreSQL can't detach concurrently, so each leaf takes ACCESS EXCLUSIVE on the table for a moment",
			j.live.Name, d.Name), map[string]any{"default": d.Name.String()}, "")
	}
	for _, s := range j.sources {
		j.sourceNotices(s)
	}
	for _, x := range j.given {
		j.find(pg.Warn, "032", fmt.Sprintf("the export of %s to %s, which an earlier run began, is given up: it goes to %s now", x.name, x.entry.Destination, j.res.Destination),
			map[string]any{"id": x.entry.ID}, "")
	}
}

func (j *job) sourceNotices(s *source) {
	at := map[string]any{"partition": s.name.String()}
	if len(s.Triggers) > 0 {
		j.find(pg.Info, "022", fmt.Sprintf("rows are deleted from %s one by one, and its triggers fire: %s", s.name, strings.Join(s.Triggers, ", ")),
			map[string]any{"partition": s.name.String(), "triggers": s.Triggers}, "")
	}
	if !s.Indexed {
		j.find(pg.Warn, "025", fmt.Sprintf("no index of %s begins with %s: all of it is read, three times, instead of the expired rows alone",
			s.name, pg.Ident(j.key.Column)), at, fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (%s)", s.name.SQL(), pg.Ident(j.key.Column)))
	}
	if s.Nullable {
		j.find(pg.Info, "024", fmt.Sprintf("a row of %s whose %s is NULL has no age and is never moved", s.name, pg.Ident(j.key.Column)), at,
			fmt.Sprintf("SELECT count(*) FROM %s WHERE %s IS NULL", s.name.SQL(), pg.Ident(j.key.Column)))
	}
	if s.spent {
		j.find(pg.Info, "026", fmt.Sprintf("the archive already holds part of the range of %s, so its rows are moved and it stays behind empty", s.name), at,
			fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY, and DROP TABLE once it is empty", j.live.Name.SQL(), s.name.SQL()))
	}
}

// publicationNotices say what subscribers see, and what stops a DELETE.
func (j *job) publicationNotices(ctx context.Context) error {
	oids := []uint32{j.live.OID}
	for _, l := range j.live.Leaves {
		oids = append(oids, l.OID)
	}
	rows, err := j.db.Query(ctx, publicationsSQL, oids)
	if err != nil {
		return fmt.Errorf("read the publications of %s: %w", j.live.Name, err)
	}
	type publication struct {
		Name       string
		Everything bool
		Deletes    bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[publication])
	if err != nil {
		return fmt.Errorf("read the publications of %s: %w", j.live.Name, err)
	}
	for _, p := range all {
		at := map[string]any{"publication": p.Name}
		if p.Deletes && len(j.sources) > 0 {
			j.find(pg.Info, "023", fmt.Sprintf("publication %s sends the DELETE of each row that is moved in batches; a leaf that goes as a whole sends nothing", pg.Ident(p.Name)), at, "")
		} else if len(j.leaves)+len(j.exports) > 0 {
			j.find(pg.Info, "023", fmt.Sprintf("publication %s sends nothing when a leaf goes: subscribers keep its rows", pg.Ident(p.Name)), at, "")
		}
		if p.Everything && (j.to == nil || len(j.sources) > 0) {
			j.find(pg.Warn, "028", fmt.Sprintf("publication %s is FOR ALL TABLES: it will send the archive too, and a subscriber without %s stops", pg.Ident(p.Name), j.dest), at,
				fmt.Sprintf("make %s on the subscriber, or list the tables of the publication", j.dest))
		}
		for _, s := range j.sources {
			if p.Deletes && !s.Identified {
				j.block("012", fmt.Sprintf("%s is in publication %s and has no replica identity: the server refuses to delete from it", s.name, pg.Ident(p.Name)),
					map[string]any{"publication": p.Name, "partition": s.name.String()}, fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", s.name.SQL()))
			}
		}
	}
	return nil
}
