package report

import "testing"

func TestKeyUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cond, alias, key string
		want             usage
	}{
		{`(m_1.at >= '2022-02-01'::date)`, "m_1", "at", usageBound},
		{`('2022-02-01'::date <= m_1.at)`, "m_1", "at", usageBound},
		{`((m_1.at >= now()) AND (m_1.x = 1))`, "m_1", "at", usageBound},
		{`(m_1.at = ANY ('{2022-02-01,2022-03-01}'::date[]))`, "m_1", "at", usageBound},
		{`(m_1.at = ops.start_of('x'::text))`, "m_1", "at", usageBound},
		{`(m_1.at = $0)`, "m_1", "at", usageRuntime},
		{`(m_1.at = (InitPlan 1).col1)`, "m_1", "at", usageRuntime},
		{`(m_1.at = c.updated_at)`, "m_1", "at", usageRuntime},
		{`(c."Updated" = m_1.at)`, "m_1", "at", usageRuntime},
		{`((m_1.at)::date = '2022-02-01'::date)`, "m_1", "at", usageWrapped},
		{`(date_trunc('day'::text, m_1.at) = now())`, "m_1", "at", usageWrapped},
		{`((m_1.at + '1 day'::interval) > now())`, "m_1", "at", usageWrapped},
		{`(ROW(m_1.at, m_1.id) < ROW(now(), 1))`, "m_1", "at", usageRow},
		{`((m_1.at = now()) OR (m_1.x = 1))`, "m_1", "at", usageOr},
		{`(((m_1.at = now()) AND (m_1.y = 2)) OR (m_1.x = 1))`, "m_1", "at", usageOr},
		{`((m_1.at = now()) AND ((m_1.y = 2) OR (m_1.x = 1)))`, "m_1", "at", usageBound},
		{`(m_1.at <> now())`, "m_1", "at", usageWeak},
		{`(m_1.at IS NOT NULL)`, "m_1", "at", usageWeak},
		{`(m_1.at > m_1.seen)`, "m_1", "at", usageWeak},
		{`(m_1.flag)`, "m_1", "flag", usageWeak},
		{`(m_1.at2 = now())`, "m_1", "at", usageNone},
		{`(c.at = now())`, "m_1", "at", usageNone},
		{`(m_1.body = '(m_1.at = $1)'::text)`, "m_1", "at", usageNone},
		{`(m_1.body = 'it''s (m_1.at = $1)'::text)`, "m_1", "at", usageNone},
		{`("My t_1"."At ""x""" = now())`, "My t_1", `At "x"`, usageBound},
		{``, "m_1", "at", usageNone},
	}
	for _, tt := range tests {
		if got := keyUsage(tt.cond, tt.alias, tt.key); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.cond, got, tt.want)
		}
	}
}

// Whatever a condition looks like, reading it ends and does not panic.
func FuzzKeyUsage(f *testing.F) {
	f.Add(`((m.at)::date = ANY ('{(}'::date[])) OR (ROW(m.at) < "a"."b"(`)
	f.Fuzz(func(_ *testing.T, cond string) {
		keyUsage(cond, "m", "at")
		equalities(&node{Alias: "m", Filter: cond}, []string{"at"})
	})
}
