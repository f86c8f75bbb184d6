package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// leafMove is a leaf that goes to the archive as a whole.
type leafMove struct {
	home
	from    parent // the table that it leaves
	id      string // of its entry in the ledger; "" until it has one
	pending bool   // a detach was begun
	bytes   int64
	rows    float64 // estimate; negative if never analysed
}

// parent is the table whose partition a leaf is.
type parent struct {
	name pg.Name
	oid  uint32
}

// source is a table or leaf out of which expired rows are moved.
type source struct {
	home
	relation
	// spent: all of it is expired, but the archive already has part of its
	// range, so it can't go as a whole and stays behind empty.
	spent bool
}

// findExpired decides what goes and how. A leaf goes as a whole if its upper
// bound is at or before the cut-off and the archive has nothing of its range.
func (j *job) findExpired(ctx context.Context) error {
	ours := map[uint32]bool{}
	for _, x := range j.exports {
		ours[x.oid] = true
	}
	for _, e := range j.entries {
		if e.State != StateDetaching {
			continue
		}
		m, err := j.resumed(ctx, e)
		if err != nil {
			return err
		}
		if m != nil {
			ours[m.oid] = true
			j.leaves = append(j.leaves, m)
			j.taken = append(j.taken, m.home)
		}
	}
	if !j.live.Partitioned() {
		j.addSource(partitions.Leaf{Name: j.live.Name, OID: j.live.OID, Lower: everything.lower, Upper: everything.upper}, false)
		return nil
	}
	for _, l := range j.live.Leaves {
		s := span{l.Lower, l.Upper}
		switch {
		case ours[l.OID]:
		case l.PendingDetach:
			j.pendingBlocker(l)
		case l.Default:
			j.addSource(l, false)
		case !s.begun(j.key, j.cutoff):
		case s.expired(j.key, j.cutoff) && j.to != nil && l.Kind == "r":
			j.exports = append(j.exports, j.addExport(l, j.table()))
		case s.expired(j.key, j.cutoff):
			j.addExpired(l)
		case l.IsHistory() || j.o.Exact:
			j.addSource(l, false)
		}
	}
	return nil
}

func (j *job) addExpired(l partitions.Leaf) {
	h := home{span{l.Lower, l.Upper}, l.Name, l.OID}
	for _, t := range j.taken {
		if t.overlaps(j.key, h.span) {
			j.addSource(l, true)
			return
		}
	}
	if l.Kind != "r" {
		j.kindOfLeafBlocker(l)
		return
	}
	j.leaves = append(j.leaves, &leafMove{home: h, from: j.table(), bytes: l.Bytes, rows: l.Rows})
	j.taken = append(j.taken, h)
}

func (j *job) addSource(l partitions.Leaf, spent bool) {
	if l.OID != j.live.OID && l.Kind != "r" {
		j.kindOfLeafBlocker(l)
		return
	}
	j.sources = append(j.sources, &source{
		home: home{span{l.Lower, l.Upper}, l.Name, l.OID}, relation: j.facts[l.OID], spent: spent,
	})
}

// resumed is the leaf of an entry that an earlier run left in detaching, or
// nil: nothing was begun and the leaf is not expired by this run's cut-off, or
// somebody dropped it.
func (j *job) resumed(ctx context.Context, e entry) (*leafMove, error) {
	state, err := readLeaf(ctx, j.db, e.LeafOID)
	if err != nil || state == nil {
		return nil, err // a lost one is marked in the ledger when a run begins
	}
	name := pg.Name{Schema: state.Schema, Table: state.Name}
	s, err := e.span(j.key)
	if err != nil {
		return nil, fmt.Errorf("entry %s of the archive's ledger: %w", e.ID, err)
	}
	switch {
	case state.Parent == j.live.OID && !state.Pending && !s.expired(j.key, j.cutoff):
		j.idle = append(j.idle, e.ID)
		return nil, nil
	case state.Parent != 0 && state.Parent != j.live.OID && (j.arch == nil || state.Parent != j.arch.OID):
		j.strayBlocker(name, e.ID)
		return nil, nil
	}
	m := &leafMove{home: home{s, name, e.LeafOID}, from: j.table(), id: e.ID, pending: state.Pending, rows: -1}
	if err := j.db.QueryRow(ctx, "SELECT pg_total_relation_size($1::oid)", m.oid).Scan(&m.bytes); err != nil {
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	return m, nil
}

// table is the live table as a leaf's parent.
func (j *job) table() parent { return parent{j.live.Name, j.live.OID} }

// upTo is the end of what goes of a span: never past the cut-off.
func (j *job) upTo(s span) partitions.Bound { return tighterUpper(j.key, s.upper, j.cutoff) }

// pointer is a bound for output.
func pointer(b partitions.Bound) *time.Time {
	if b.Unbounded {
		return nil
	}
	t := b.Time.UTC()
	return &t
}
