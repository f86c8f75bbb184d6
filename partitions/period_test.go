package partitions

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones have midnights that don't exist (Beirut, Havana, Sao_Paulo until
// 2018), midnights that come twice (Havana), a date that was left out (Apia,
// 2011-12-30), half-hour changes (Lord_Howe) and the ends of the range of
// offsets.
var zones = []string{
	"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Asia/Beirut", "America/Havana",
	"America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Pacific/Kiritimati", "Etc/GMT+12",
	"Asia/Kathmandu", "Africa/Cairo",
}

var intervals = []Interval{Day, Week, Month, Quarter, Year}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestPeriodOf(t *testing.T) {
	for _, tc := range []struct {
		at, zone   string
		interval   Interval
		suffix     string
		start, end string
	}{
		{"2025-01-15T12:00:00Z", "UTC", Month, "2025_01", "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z"},
		{"2024-02-29T23:59:59Z", "UTC", Day, "2024_02_29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2024-02-29T23:59:59Z", "UTC", Month, "2024_02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2020-12-31T10:00:00Z", "UTC", Week, "2020_w53", "2020-12-28T00:00:00Z", "2021-01-04T00:00:00Z"},
		{"2021-01-03T23:59:59.999999Z", "UTC", Week, "2020_w53", "2020-12-28T00:00:00Z", "2021-01-04T00:00:00Z"},
		{"2021-01-04T00:00:00Z", "UTC", Week, "2021_w01", "2021-01-04T00:00:00Z", "2021-01-11T00:00:00Z"},
		{"2024-12-30T00:00:00Z", "UTC", Week, "2025_w01", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z"},
		{"2026-11-24T02:00:00Z", "UTC", Quarter, "2026_q4", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2026-12-31T23:59:59Z", "UTC", Year, "2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2025-01-01T03:00:00Z", "America/New_York", Month, "2024_12", "2024-12-01T05:00:00Z", "2025-01-01T05:00:00Z"},
		{"2025-03-09T12:00:00Z", "America/New_York", Day, "2025_03_09", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"},
		{"2025-01-01T00:00:00Z", "Pacific/Kiritimati", Month, "2025_01", "2024-12-31T10:00:00Z", "2025-01-31T10:00:00Z"},
		{"2025-01-01T11:59:59Z", "Etc/GMT+12", Year, "2024", "2024-01-01T12:00:00Z", "2025-01-01T12:00:00Z"},
		// Midnight was skipped: the day began at 01:00.
		{"2017-10-15T12:00:00Z", "America/Sao_Paulo", Day, "2017_10_15", "2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z"},
		// 23:00 to 24:00 came twice the evening before.
		{"2018-02-18T01:30:00Z", "America/Sao_Paulo", Day, "2018_02_17", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
		// 00:00 to 01:00 came twice.
		{"2024-11-03T04:30:00Z", "America/Havana", Day, "2024_11_03", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},
		// 2011-12-30 was left out.
		{"2011-12-30T09:59:59Z", "Pacific/Apia", Day, "2011_12_29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"2011-12-30T10:00:00Z", "Pacific/Apia", Day, "2011_12_31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339Nano, tc.at)
		if err != nil {
			t.Fatal(err)
		}
		p := PeriodOf(at, tc.interval, zone(t, tc.zone))
		start, end := p.Start.UTC().Format(time.RFC3339), p.End.UTC().Format(time.RFC3339)
		if p.Suffix() != tc.suffix || start != tc.start || end != tc.end {
			t.Errorf("PeriodOf(%s, %s, %s) = %s [%s, %s), want %s [%s, %s)",
				tc.at, tc.interval, tc.zone, p.Suffix(), start, end, tc.suffix, tc.start, tc.end)
		}
	}
}

// Periods contain what they are made from, meet their neighbours exactly, and
// never share a name with them.
func TestPeriodsMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		iv := rapid.SampledFrom(intervals).Draw(t, "interval")
		at := time.Unix(rapid.Int64Range(-2_000_000_000, 4_000_000_000).Draw(t, "unix"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		p := PeriodOf(at, iv, loc)
		if !p.Contains(at) {
			t.Fatalf("[%s, %s) does not contain %s", p.Start, p.End, at)
		}
		next, prev := p.Next(), p.Prev()
		if !next.Start.Equal(p.End) || !prev.End.Equal(p.Start) {
			t.Fatalf("%v, %v, %v don't meet", prev, p, next)
		}
		if p.Suffix() == next.Suffix() || p.Suffix() == prev.Suffix() {
			t.Fatalf("neighbours share the name %s", p.Suffix())
		}
		for _, edge := range []time.Time{p.Start, p.End.Add(-1)} {
			if q := PeriodOf(edge, iv, loc); !q.Start.Equal(p.Start) || !q.End.Equal(p.End) {
				t.Fatalf("PeriodOf(%s) = %v, want %v", edge, q, p)
			}
		}
	})
}

func TestLeafNameKeepsThePeriod(t *testing.T) {
	long := "a_table_whose_name_is_as_long_as_postgresql_allows_it_to_be_63b"
	for _, tc := range []struct{ table, suffix, want string }{
		{"messages", "2025_01", "messages_2025_01"},
		{"usage_logs", "2025_w03", "usage_logs_2025_w03"},
		{"messages", "history", "messages_history"},
		{long, "2025_01", "a_table_whose_name_is_as_long_as_postgresql_al_ce1c86f8_2025_01"},
	} {
		got := LeafName(tc.table, tc.suffix)
		if got != tc.want || len(got) > 63 {
			t.Errorf("LeafName(%q, %q) = %q (%d bytes), want %q", tc.table, tc.suffix, got, len(got), tc.want)
		}
	}
	for _, table := range []string{"сообщения_очень_длинное_имя_таблицы", "日本語のとても長いテーブル名です日本語の"} {
		if got := LeafName(table, "2025_01"); len(got) > 63 || got[len(got)-8:] != "_2025_01" {
			t.Errorf("LeafName(%q) = %q", table, got)
		}
	}
}
