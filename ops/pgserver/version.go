package pgserver

import (
	"fmt"
	"regexp"
	"strconv"
)

// The majors that atlasctl supports.
const (
	oldestMajor = 14
	newestMajor = 18
)

// release is a PostgreSQL version as `postgres -V` tells it. Betas count as
// minor 0.
type release struct{ major, minor int }

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

// num is the release as server_version_num has it: 150018 for 15.18.
func (r release) num() int { return r.major*10000 + r.minor }

func (r release) less(o release) bool { return r.num() < o.num() }

var (
	banner  = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)
	request = regexp.MustCompile(`^(\d+)(?:\.(\d+))?$`)
)

// parseBanner reads the output of `postgres -V` or of another PostgreSQL
// program, such as "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func parseBanner(out string) (release, error) {
	m := banner.FindStringSubmatch(out)
	if m == nil {
		return release{}, fmt.Errorf("no PostgreSQL version in %q", out)
	}
	return newRelease(m), nil
}

func newRelease(match []string) release {
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return release{major, minor}
}

// wanted is the version that a caller asks for; its zero value is any that
// atlasctl supports.
type wanted struct {
	release
	exact bool
}

// parseWanted reads "", a major ("18") or a release ("18.4").
func parseWanted(s string) (wanted, error) {
	if s == "" {
		return wanted{}, nil
	}
	m := request.FindStringSubmatch(s)
	if m == nil {
		return wanted{}, fmt.Errorf(`PostgreSQL version %q: want a major such as "18" or a release such as "18.4"`, s)
	}
	w := wanted{release: newRelease(m), exact: m[2] != ""}
	if w.major < oldestMajor || w.major > newestMajor {
		return wanted{}, fmt.Errorf("PostgreSQL version %q: supported are %d to %d", s, oldestMajor, newestMajor)
	}
	return w, nil
}

func (w wanted) String() string {
	switch {
	case w.major == 0:
		return fmt.Sprintf("%d to %d", oldestMajor, newestMajor)
	case !w.exact:
		return strconv.Itoa(w.major)
	}
	return w.release.String()
}

// matches reports whether r will do.
func (w wanted) matches(r release) bool {
	switch {
	case w.major == 0:
		return r.major >= oldestMajor && r.major <= newestMajor
	case !w.exact:
		return r.major == w.major
	}
	return r == w.release
}
