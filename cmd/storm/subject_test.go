package storm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// subject is a table that everything happens to. Rows of clients say in the
// column text whose they are; all others are frozen: nobody changes them.
type subject struct {
	table, text, key string
	columns          string
	insert           string // $1 text, $2 key
}

var subjects = []subject{
	{
		table: "messages", text: "content", key: "created_at", columns: "id, conversation_id, role, content, created_at",
		insert: `INSERT INTO public.messages (conversation_id, role, content, created_at) VALUES (md5('c1')::uuid, 'user', $1, $2)`,
	},
	{
		table: "usage_logs", text: "event", key: `"timestamp"`, columns: `id, user_id, event, data, "timestamp"`,
		insert: `INSERT INTO public.usage_logs (user_id, event, "timestamp") VALUES (md5('u1')::uuid, $1, $2)`,
	},
}

// update and delete find a row by what it says, and with the key or without it.
// $1 text, $2 key; for update also $3 and $4, the new ones.
func (s subject) update(withKey bool) string {
	return fmt.Sprintf("UPDATE public.%s SET %s = $3, %s = $4 WHERE %s", s.table, s.text, s.key, s.where(withKey))
}

func (s subject) delete(withKey bool) string {
	return fmt.Sprintf("DELETE FROM public.%s WHERE %s", s.table, s.where(withKey))
}

func (s subject) where(withKey bool) string {
	if withKey {
		return fmt.Sprintf("%s = $1 AND %s = $2", s.text, s.key)
	}
	return s.text + " = $1 AND $2::timestamptz IS NOT NULL"
}

// frozen is what must be seen of the rows that nobody changes.
type frozen struct {
	rows int64
	hash string
}

// sight is what one statement sees of a subject.
type sight struct {
	frozen

	twins int64 // rows whose id another one has
	texts []string
	keys  []time.Time
}

// own tells the rows of clients, which are called w1.17 and say w1.17@3.
const own = `LIKE 'w%.%@%'`

// lookSQL looks at a subject through one or more relations.
func (s subject) lookSQL(relations ...string) string {
	parts := make([]string, len(relations))
	for i, r := range relations {
		parts[i] = "SELECT " + s.columns + " FROM " + r
	}
	return fmt.Sprintf(`WITH seen AS MATERIALIZED (%[1]s)
		SELECT count(*) FILTER (WHERE %[2]s NOT %[4]s),
		       coalesce(sum(hashtextextended(seen::text, 0)::numeric) FILTER (WHERE %[2]s NOT %[4]s), 0)::text,
		       count(*) - count(DISTINCT id),
		       coalesce(array_agg(%[2]s) FILTER (WHERE %[2]s %[4]s), '{}'),
		       coalesce(array_agg(%[3]s) FILTER (WHERE %[2]s %[4]s), '{}')
		FROM seen`, strings.Join(parts, " UNION ALL "), s.text, s.key, own)
}

func (s *sight) targets() []any { return []any{&s.rows, &s.hash, &s.twins, &s.texts, &s.keys} }

// versions are the rows of clients, by name.
func (s *sight) versions() map[string][]version {
	seen := map[string][]version{}
	for i, text := range s.texts {
		name, _, _ := strings.Cut(text, "@")
		seen[name] = append(seen[name], version{text: text, at: s.keys[i]})
	}
	return seen
}

// freeze looks at a table before there is any client.
func freeze(t testing.TB, url string, s subject) frozen {
	t.Helper()
	var now sight
	conn := pgtest.Connect(t, url)
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), s.lookSQL("public."+s.table)).Scan(now.targets()...); err != nil {
		t.Fatal(err)
	}
	return now.frozen
}
