package report_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/ops/report"
)

// What cannot be planned is a row, and the queries after it are not lost.
func TestRefusedQueries(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	db := open(t, url)
	hold(t, url, `LOCK TABLE messages_2022_02`)

	tests := []struct {
		query          report.Query
		verdict        report.Verdict
		cause, finding string
	}{
		{report.Query{SQL: `SELECT * FROM nowhere`}, report.Absent, `relation "nowhere" does not exist`, ""},
		{report.Query{SQL: `SELECT * FROM nowhere.messages`}, report.Absent, `"nowhere.messages" does not exist`, ""},
		{report.Query{SQL: `SELECT 1; SELECT 2`}, report.Failed, "more than one statement", "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT 1; DROP TABLE conversations`}, report.Failed, "more than one statement", "ATL-PLAN-004"},
		{report.Query{SQL: `VACUUM messages`}, report.Failed, "not a statement that can be explained", "ATL-PLAN-004"},
		{report.Query{SQL: `ANALYZE DELETE FROM messages`}, report.Failed, "not a statement that can be explained", "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT colour FROM conversations`}, report.Failed, `column "colour" does not exist`, "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT $1`, Params: []report.Param{{Type: "uuid", Value: "x"}}}, report.Failed, "invalid input syntax for type uuid", "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT $1`, Params: []report.Param{{Type: "nothing", Value: "x"}}}, report.Failed, `type "nothing" does not exist`, "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT $1`, Params: []report.Param{{Type: "uuid", Value: "$id"}}}, report.Failed, "no value for $id", "ATL-PLAN-004"},
		{report.Query{SQL: `SELECT * FROM messages`}, report.SkippedLocked, "locked by another session, for more than 200ms", ""},
		{report.Query{SQL: `SELECT * FROM messages WHERE created_at = '2022-03-01+00'`}, report.PrunedPlan, "", ""},
	}
	var queries []report.Query
	for i, tt := range tests {
		tt.query.ID, tt.query.Role = fmt.Sprint("q", i), "none"
		queries = append(queries, tt.query)
	}
	got, err := report.Plans(t.Context(), db, report.PlansOptions{Queries: queries})
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range tests {
		row := got.Rows[i]
		if row.Verdict != tt.verdict || !strings.Contains(row.Cause, tt.cause) {
			t.Errorf("%s:\n got %s: %s\nwant %s: %s", tt.query.SQL, row.Verdict, row.Cause, tt.verdict, tt.cause)
		}
		var ids []string
		for _, f := range got.Findings {
			if f.Object == row.Query {
				ids = append(ids, f.ID)
			}
		}
		if s := strings.Join(ids, " "); s != tt.finding {
			t.Errorf("%s: findings %s, want %s", tt.query.SQL, s, tt.finding)
		}
		if tt.verdict == report.PrunedPlan {
			continue
		}
		data, err := json.Marshal(row)
		if err != nil || !strings.Contains(string(data), `"partitions_total":null,"partitions_scanned":null,"cost":null,"planning_ms":null,"execution_ms":null`) ||
			!strings.Contains(string(data), `"plan":null`) {
			t.Errorf("%s: %v %s", tt.query.SQL, err, data)
		}
	}
	if len(got.Notices) != 1 || !strings.Contains(got.Notices[0], "skipped") {
		t.Errorf("notices: %v", got.Notices)
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	queries := []report.Query{
		{ID: "met", SQL: `SELECT 1 FROM messages WHERE created_at = '2022-03-01+00'`, Expect: report.Expect{MustPrune: true, MaxPartitions: 1}},
		{ID: "too many", SQL: `SELECT 1 FROM messages WHERE created_at >= '2025-10-01+00'`, Expect: report.Expect{MustPrune: true, MaxPartitions: 2}},
		{ID: "unpruned", SQL: `SELECT 1 FROM messages`, Expect: report.Expect{MustPrune: true}},
		{ID: "undecided", SQL: `SELECT 1 FROM messages WHERE created_at = (SELECT max(updated_at) FROM conversations)`, Expect: report.Expect{MaxPartitions: 1}},
		{ID: "plain", SQL: `SELECT 1 FROM conversations`, Expect: report.Expect{MustPrune: true, MaxPartitions: 1}},
		{ID: "single", SQL: `SELECT 1 FROM one_partition`, Expect: report.Expect{MustPrune: true}},
	}
	for i := range queries {
		queries[i].Role = "none"
	}
	got, err := report.Plans(t.Context(), open(t, url), report.PlansOptions{Queries: queries})
	if err != nil {
		t.Fatal(err)
	}
	found := map[any]string{}
	for _, f := range got.Findings {
		if f.ID == "ATL-PLAN-002" {
			found[f.Evidence["query"]] = f.Severity.String()
		}
	}
	if s, want := fmt.Sprint(found), "map[too many:error undecided:warn unpruned:error]"; s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// A page of a conversation is sorted out of all partitions until an index has
// both columns; then the reading ends with the page.
func TestIndexSuggestion(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	db := open(t, url)
	page := report.Query{
		ID: "page", Role: "none", Params: []report.Param{{Type: "uuid", Value: "$id"}},
		SQL:    `SELECT * FROM messages WHERE conversation_id = $1 ORDER BY created_at DESC LIMIT 10`,
		Sample: `SELECT conversation_id AS id FROM messages LIMIT 1`,
	}
	again := page
	again.ID = "again"
	suggested := func() []pg.Finding {
		got, err := report.Plans(t.Context(), db, report.PlansOptions{Queries: []report.Query{page, again}})
		if err != nil {
			t.Fatal(err)
		}
		var found []pg.Finding
		for _, f := range got.Findings {
			if f.ID == "ATL-PLAN-003" {
				found = append(found, f)
			}
		}
		return found
	}
	pgtest.Exec(t, url, `DROP INDEX messages_created_at_idx`)
	found := suggested()
	if len(found) != 1 || found[0].Evidence["columns"] != "conversation_id, created_at" || fmt.Sprint(found[0].Evidence["queries"]) != "[page again]" {
		t.Errorf("got %+v", found)
	}
	pgtest.Exec(t, url, `CREATE INDEX ON messages (conversation_id, created_at)`)
	if found := suggested(); len(found) != 0 {
		t.Errorf("with the index: %+v", found)
	}
}

// The built-in queries run on a database that has only some of the tables, and
// take their values from it.
func TestBuiltInCatalogue(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	got, err := report.Plans(t.Context(), open(t, url), report.PlansOptions{Now: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"messages-latest":         "",
		"messages-latest-bounded": "PRUNED_PLAN",
		"message-by-id":           "FULL_SCAN",
		"message-by-id-and-time":  "PRUNED_PLAN",
		"conversations-of-user":   "UNPARTITIONED",
		"sync-since":              "PRUNED_PLAN",
		"message-insert":          "ROUTED",
		"usage-of-user-this-week": "ABSENT",
		"usage-per-event":         "ABSENT",
		"daily-usage-of-user":     "ABSENT",
		"cache-lookup":            "ABSENT",
	}
	for _, row := range got.Rows {
		verdict, ok := want[row.Query]
		if !ok || verdict != "" && string(row.Verdict) != verdict {
			t.Errorf("%s: got %s (%s), want %s", row.Query, row.Verdict, row.Cause, verdict)
		}
		if row.Sampled != (row.Verdict != report.Absent) {
			t.Errorf("%s: sampled: %t", row.Query, row.Sampled)
		}
		if row.Table == nil {
			t.Errorf("%s: no table", row.Query)
		}
		if row.Query == "messages-latest-bounded" && *row.PartitionsScanned != 2 {
			t.Errorf("%s: %d partitions of two months", row.Query, *row.PartitionsScanned)
		}
	}
	if len(got.Rows) != len(want) {
		t.Errorf("%d rows", len(got.Rows))
	}
	for _, f := range got.Findings {
		if f.Severity == pg.Error {
			t.Errorf("%+v", f)
		}
	}
}
