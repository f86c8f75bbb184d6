package report

import (
	"fmt"
	"slices"
)

// Verdict says how much of a partitioned table a query touches.
type Verdict string

// The verdicts about partitions.
const (
	// PrunedPlan: the planner left partitions out. The cheapest: what is left
	// out is neither planned nor locked.
	PrunedPlan Verdict = "PRUNED_PLAN"
	// PrunedInit: all were planned and locked, and some removed when execution
	// started, because the key is compared with a stable expression.
	PrunedInit Verdict = "PRUNED_INIT"
	// PrunedExec: some were never executed, because the value that the key is
	// compared with came up only then. Only ANALYZE can tell.
	PrunedExec Verdict = "PRUNED_EXEC"
	// OrderedStop: partitions are read one after the other until there is enough,
	// mostly until a LIMIT is full. All are planned and locked, and in the worst
	// case read.
	OrderedStop Verdict = "ORDERED_STOP"
	// FullScan: every partition is read.
	FullScan Verdict = "FULL_SCAN"
	// Routed: an INSERT, whose rows go straight to the partition of their key.
	Routed Verdict = "ROUTED"
	// Empty: no partition can hold a row that is asked for.
	Empty Verdict = "EMPTY"
	// Unpartitioned: the query names no partitioned table.
	Unpartitioned Verdict = "UNPARTITIONED"
	// Unknown: the plan alone cannot say; the cause says why.
	Unknown Verdict = "UNKNOWN"
)

// The verdicts about queries that could not be planned.
const (
	// Absent: a table of the query does not exist in this database.
	Absent Verdict = "ABSENT"
	// SkippedLocked: planning had to wait for a lock for too long.
	SkippedLocked Verdict = "SKIPPED_LOCKED"
	// Failed: the query cannot be explained; the cause holds the server's words.
	Failed Verdict = "ERROR"
)

// severity orders the verdicts that several places of one plan may get: the
// query is as good as the worst of them.
var severity = []Verdict{
	Routed, Empty, Unpartitioned, PrunedPlan, PrunedInit, PrunedExec, OrderedStop, Unknown, FullScan,
}

// judgement is the verdict about one table of a query.
type judgement struct {
	table   *table
	verdict Verdict
	cause   cause
	planned int // partitions that the planner kept
	scanned int // of these, those left at the start, or, with ANALYZE, executed
}

// judge finds the verdict about a table that the query names. others is how
// many more partitioned tables it names: an Append whose subplans were all
// removed does not say whose they were.
func judge(e explained, t *table, others int) judgement {
	j := judgement{table: t, verdict: Empty, cause: cause{text: "no partition can hold such a row"}}
	analyzed := e.Execution != nil
	seen := false
	var all []*node
	for _, a := range accesses(e.Plan) {
		scans := a.of(t)
		if len(scans) == 0 && (a.removed == 0 || len(a.scans) > 0 || others > 0) {
			continue // of another table
		}
		all = append(all, scans...)
		j.planned = max(j.planned, distinct(scans)+a.removed)
		verdict, why := a.judge(t, scans, analyzed)
		if !seen || rank(verdict) > rank(j.verdict) {
			j.verdict, j.cause = verdict, why
		}
		seen = true
	}
	j.scanned = distinct(all)
	if analyzed {
		j.scanned = distinct(executed(all))
	}
	if !seen && inserts(e.Plan, t) {
		j.verdict, j.cause = Routed, cause{text: "each row goes to the partition of its key"}
	}
	return j
}

func rank(v Verdict) int { return slices.Index(severity, v) }

func inserts(top *node, t *table) bool {
	found := false
	top.walk(nil, func(n *node, _ []*node) {
		found = found || n.Operation == "Insert" && n.name() == t.name
	})
	return found
}

// judge finds the verdict about one access. scans are those of t's leaves.
func (a *access) judge(t *table, scans []*node, analyzed bool) (Verdict, cause) {
	total, listed, ran := len(t.leaves), distinct(scans), distinct(executed(scans))
	key, use := t.key(), usageNone
	if len(scans) > 0 { // all alike
		var column string
		if column, use = keyOf(scans[0], t.keys); column != "" {
			key = ident(column)
		}
	}
	switch {
	case a.removed > 0:
		return PrunedInit, prunedInit(key, listed+a.removed, a.removed)
	case listed < total:
		return PrunedPlan, cause{text: "bounded by " + key}
	case total == 1:
		return Unknown, cause{text: "there is a single partition, so nothing to prune"}
	case analyzed && ran == 0:
		return Unknown, cause{text: "no partition was reached with these sample values"}
	case analyzed && ran < total && use != usageRuntime:
		return OrderedStop, orderedStop(t, total)
	case analyzed && ran < total:
		return PrunedExec, cause{text: fmt.Sprintf(
			"pruned while executing, by a value of %s that came up only then: all %d partitions are planned and locked", key, total)}
	case !analyzed && use == usageRuntime:
		return Unknown, cause{text: fmt.Sprintf(
			"%s is compared with a value that comes up only during execution: it may prune then, which only ANALYZE shows", key)}
	case !analyzed && a.stopsEarly():
		return OrderedStop, orderedStop(t, total)
	default:
		return FullScan, fullScan(a, t, scans[0], key, use)
	}
}

// key names the partition key for people.
func (t *table) key() string {
	if len(t.keys) == 0 {
		return "the partition key"
	}
	return ident(t.keys[0])
}
