package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

func (j *job) find(severity pg.Severity, id, message string, evidence map[string]any, fix string) {
	j.res.Findings = append(j.res.Findings, pg.Finding{
		ID: "ATL-ARCH-" + id, Severity: severity, Object: j.spec.Table.String(), Message: message, Evidence: evidence, Fix: fix,
	})
}

func (j *job) block(id, message string, evidence map[string]any, fix string) {
	j.find(pg.Error, id, message, evidence, fix)
	j.res.State = StateBlocked
}

func (j *job) blocked() bool { return j.res.State == StateBlocked }

func (j *job) missingTable() {
	j.block("001", fmt.Sprintf("table %s does not exist", j.spec.Table), nil,
		`check the name; quote it as in SQL if it has capitals: '"Name"'`)
}

// kindBlockers are those that the table's own entry in the catalogs shows.
// emptied says that a reversion of it has left leaves to be dropped.
func (j *job) kindBlockers(emptied bool) {
	t := j.live
	if t.Kind != "r" && t.Kind != "p" || t.Persistence == "t" {
		j.block("002", fmt.Sprintf("%s is not an ordinary or partitioned table", t.Name),
			map[string]any{"relkind": t.Kind, "persistence": t.Persistence}, "name the table that holds the rows")
		return
	}
	if t.IsLeaf {
		j.block("002", fmt.Sprintf("%s is a partition of another table", t.Name), nil, "name the partitioned table")
	}
	switch {
	case emptied:
		j.block("002", fmt.Sprintf("%s still has emptied leaves, since its reversion was not finished", t.Name), nil,
			fmt.Sprintf("atlasctl partition revert %s finishes it", t.Name))
	case t.Inherits:
		j.block("002", fmt.Sprintf("%s takes part in inheritance: which of its rows are its own is not atlasctl's to say", t.Name), nil,
			"ALTER TABLE … NO INHERIT …")
	}
	if !t.OwnerIsUs {
		j.block("003", fmt.Sprintf("%s belongs to %s, and only its owner can archive it", t.Name, t.Owner),
			map[string]any{"owner": t.Owner}, fmt.Sprintf("connect as %s or as a member of it", pg.Ident(t.Owner)))
	}
}

func (j *job) keyBlocker(message string) {
	j.block("004", message, map[string]any{"key": j.spec.Key}, "name the column with --key or in the configuration")
}

func (j *job) kindOfLeafBlocker(l partitions.Leaf) {
	what, fix := "a foreign table", "archive it where its rows are"
	if l.Kind == "p" {
		what, fix = "itself partitioned", fmt.Sprintf("atlasctl archive run %s, then drop or detach it", l.Name)
	}
	j.block("006", fmt.Sprintf("%s, which is expired, is %s; only an ordinary leaf can be archived", l.Name, what),
		map[string]any{"partition": l.Name.String(), "relkind": l.Kind}, fix)
}

func (j *job) pendingBlocker(l partitions.Leaf) {
	j.block("009", fmt.Sprintf("somebody's detach of %s from %s is not finished, and PostgreSQL allows one at a time", l.Name, j.live.Name),
		map[string]any{"partition": l.Name.String()},
		fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", j.live.Name.SQL(), l.Name.SQL()))
}

func (j *job) strayBlocker(leaf pg.Name, id string) {
	j.block("010", fmt.Sprintf("%s was on its way to the archive (entry %s) and is now a partition of another table", leaf, id),
		map[string]any{"partition": leaf.String(), "id": id}, "detach it there, and run the same command again")
}

// archiveBlockers are about a relation that bears the archive's name.
func (j *job) archiveBlockers() {
	a := j.arch
	aside := fmt.Sprintf("ALTER TABLE %s RENAME TO …", a.Name.SQL())
	key, err := a.Key(j.spec.Zone)
	switch {
	case !a.Partitioned():
		j.block("007", fmt.Sprintf("%s, which the archive is to be called, exists and is not a partitioned table", a.Name), nil, aside)
	case err != nil || key.Column != j.key.Column || key.Type != j.key.Type:
		j.block("007", fmt.Sprintf("%s is not partitioned by range of %s, as the archive has to be", a.Name, pg.Ident(j.key.Column)),
			map[string]any{"strategy": a.Strategy, "key": a.KeyColumns}, aside)
	case a.Owner != j.live.Owner:
		j.block("007", fmt.Sprintf("%s belongs to %s and %s to %s: the archive has the table's owner", a.Name, a.Owner, j.live.Name, j.live.Owner),
			map[string]any{"owner": a.Owner}, fmt.Sprintf("ALTER TABLE %s OWNER TO %s", a.Name.SQL(), pg.Ident(j.live.Owner)))
	}
	for _, l := range a.Leaves {
		ours := slices.ContainsFunc(j.begun, func(e *exportEntry) bool { return e.LeafOID == l.OID })
		if l.PendingDetach && !ours {
			j.block("009", fmt.Sprintf("a detach of %s from %s is not finished", l.Name, a.Name), map[string]any{"partition": l.Name.String()},
				fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", a.Name.SQL(), l.Name.SQL()))
		}
	}
	if !a.RowSecurity {
		j.find(pg.Warn, "013", fmt.Sprintf("row level security is off on %s", a.Name), nil,
			fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", a.Name.SQL()))
	}
}

// driftBlockers are columns in which the archive differs from the table.
func (j *job) driftBlockers(archived []column) {
	to := "ALTER TABLE " + j.dest.SQL()
	for _, c := range j.columns {
		switch a := findColumn(archived, c.Name); {
		case a == nil:
			fix := fmt.Sprintf("%s ADD COLUMN %s %s", to, pg.Ident(c.Name), c.Type)
			if c.Collation != "" {
				fix += " COLLATE " + c.Collation
			}
			if c.Generated {
				fix = fmt.Sprintf("%s RENAME TO …", to) + " (a generated column can't be added without rewriting; a new archive will be made)"
			}
			j.drift(c.Name, "is missing in the archive", fix)
		case a.Type != c.Type || a.Collation != c.Collation || a.Generated != c.Generated:
			j.drift(c.Name, fmt.Sprintf("is %s in the table and %s in the archive", describe(c), describe(*a)),
				fmt.Sprintf("%s ALTER COLUMN %s TYPE … (rewrites the archive), or %s RENAME TO … and a new archive will be made", to, pg.Ident(c.Name), to))
		case a.NotNull && !c.NotNull:
			j.drift(c.Name, "is NOT NULL in the archive alone", fmt.Sprintf("%s ALTER COLUMN %s DROP NOT NULL", to, pg.Ident(c.Name)))
		}
	}
	for _, a := range archived {
		if findColumn(j.columns, a.Name) == nil {
			j.drift(a.Name, "is in the archive alone", fmt.Sprintf("%s RENAME TO … keeps what it holds, and a new archive will be made", to))
		}
	}
}

func (j *job) drift(column, how, fix string) {
	j.block("008", fmt.Sprintf("column %s of %s %s", pg.Ident(column), j.live.Name, how), map[string]any{"column": column}, fix)
}

func describe(c column) string {
	words := []string{c.Type}
	if c.Collation != "" {
		words = append(words, "collate "+c.Collation)
	}
	if c.Generated {
		words = append(words, "generated")
	}
	return strings.Join(words, " ")
}

// role is what the session may do beyond owning the table.
type role struct {
	Creates  bool
	Bypasses bool // row level security, forced or not
}

// workBlockers stand in the way of what is to be done, and notices say what
// doing it means. Without work there is one notice.
func (j *job) workBlockers(ctx context.Context) error {
	if !j.hasWork() {
		j.nothingExpired()
		if j.o.Children == ChildrenSetNull { // a killed run may have left references to end
			var err error
			j.guards, err = partitions.Guards(ctx, j.db, j.live)
			return err
		}
		return nil
	}
	if err := j.fileBlockers(ctx); err != nil {
		return err
	}
	if err := j.inboundBlockers(ctx); err != nil {
		return err
	}
	rows, err := j.db.Query(ctx, roleSQL, j.dest.Schema)
	if err != nil {
		return fmt.Errorf("read the session's role: %w", err)
	}
	may, err := pgx.CollectOneRow(rows, pgx.RowToStructByName[role])
	if err != nil {
		return fmt.Errorf("read the session's role: %w", err)
	}
	if !may.Creates && (j.to == nil || len(j.sources) > 0) {
		j.block("003", fmt.Sprintf("role %s may not create the archive in schema %s", j.db.User, j.dest.Schema), nil,
			fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO %s", pg.Ident(j.dest.Schema), pg.Ident(j.db.User)))
	}
	homes := make([]home, 0, len(j.sources)+len(j.exports))
	for _, s := range j.sources {
		homes = append(homes, s.home)
	}
	for _, x := range j.exports {
		homes = append(homes, x.home)
	}
	for _, h := range homes {
		if j.facts[h.oid].Forced && !may.Bypasses {
			j.block("011", fmt.Sprintf("row level security is forced on %s for its owner too: rows that the policies hide would stay behind", h.name),
				map[string]any{"partition": h.name.String()}, "run as a superuser or a role with BYPASSRLS")
		}
	}
	return j.publicationNotices(ctx)
}

// hasWork says whether anything is to be done.
func (j *job) hasWork() bool {
	return len(j.leaves)+len(j.sources)+len(j.exports)+len(j.given)+len(j.gone)+len(j.archivedLeaves(j.arch)) > 0
}

// fileBlockers are columns that files can't keep.
func (j *job) fileBlockers(ctx context.Context) error {
	if j.to == nil && len(j.exports) == 0 {
		return nil
	}
	parents := []parent{j.table()} // their leaves have the same columns
	if len(j.archivedLeaves(j.arch)) > 0 {
		parents = append(parents, parent{j.arch.Name, j.arch.OID})
	}
	j.kept = map[uint32]pqfile.Schema{}
	for _, p := range parents {
		schema, err := j.describe(ctx, j.db, p.oid, nil)
		if unsupported, ok := errors.AsType[*pqfile.UnsupportedError](err); ok {
			for _, c := range unsupported.Columns {
				j.block("030", fmt.Sprintf("column %s of %s, of type %s, can't be kept in files: %s", pg.Ident(c.Name), p.name, c.Type, c.Why),
					map[string]any{"column": c.Name, "type": c.Type}, "archive it to the archive's table (--to table)")
			}
			return nil
		}
		if err != nil {
			return err
		}
		j.kept[p.oid] = schema
	}
	return nil
}

// inboundBlockers are foreign keys that reference rows which are to go: moving
// them would act on the children, and a detach would scan each child under a
// lock that stops its writers.
func (j *job) inboundBlockers(ctx context.Context) error {
	oids := []uint32{j.live.OID}
	for _, l := range j.live.Leaves {
		oids = append(oids, l.OID)
	}
	rows, err := j.db.Query(ctx, inboundSQL, oids)
	if err != nil {
		return fmt.Errorf("look for foreign keys to %s: %w", j.live.Name, err)
	}
	type inbound struct{ Name, Child string }
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByName[inbound])
	if err != nil {
		return fmt.Errorf("look for foreign keys to %s: %w", j.live.Name, err)
	}
	for _, k := range keys {
		j.block("005", fmt.Sprintf("foreign key %s of %s references %s: its rows can't leave", k.Name, k.Child, j.live.Name),
			map[string]any{"child": k.Child, "constraint": k.Name},
			fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", k.Child, pg.Ident(k.Name)))
	}
	return j.childrenBlockers(ctx)
}
