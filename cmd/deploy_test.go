package cmd_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

const deployDir = "../deploy"

// examples are what deploy/ shows of CI, as far as it can be run here.
type examples struct {
	github []string // the steps that run something, but for the installation
	gitlab []string
	entry  string // of pre-commit's hook
	files  *regexp.Regexp
}

func parseDeploy(t *testing.T, name string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join(deployDir, name))), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readExamples(t *testing.T) examples {
	t.Helper()
	var github struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string `yaml:"run"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	parseDeploy(t, "github-actions.yml", &github)
	var gitlab map[string]struct {
		Script []string `yaml:"script"`
	}
	parseDeploy(t, "gitlab-ci.yml", &gitlab)
	var hooks struct {
		Repos []struct {
			Hooks []struct {
				Entry string `yaml:"entry"`
				Files string `yaml:"files"`
			} `yaml:"hooks"`
		} `yaml:"repos"`
	}
	parseDeploy(t, "pre-commit-config.yaml", &hooks)

	isInstall := func(command string) bool { return command == "" || strings.HasPrefix(command, "go install ") }
	e := examples{gitlab: slices.DeleteFunc(gitlab["migrations"].Script, isInstall)}
	for _, step := range github.Jobs["check"].Steps {
		if !isInstall(step.Run) {
			e.github = append(e.github, step.Run)
		}
	}
	hook := hooks.Repos[0].Hooks[0]
	e.entry, e.files = hook.Entry, regexp.MustCompile(hook.Files)
	if len(e.github) != 3 || len(e.gitlab) != 1 {
		t.Fatalf("these are not the commands that this test knows: %q, %q", e.github, e.gitlab)
	}
	return e
}

// repository is a git repository with a released migration, and atlasctl and the
// hook for it.
type repository struct {
	t   *testing.T
	dir string
	env []string
}

const (
	released = "-- +goose Up\nCREATE TABLE public.notes (id bigint PRIMARY KEY, body text NOT NULL);\n\n" +
		"-- +goose Down\nDROP TABLE public.notes;\n"
	goodMigration = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY notes_body ON public.notes (body);\n\n" +
		"-- +goose Down\nDROP INDEX CONCURRENTLY public.notes_body;\n"
	badMigration = "-- +goose Up\nSET LOCAL lock_timeout = '2s';\nCREATE INDEX notes_body ON public.notes (body);\n\n" +
		"-- +goose Down\nSET LOCAL lock_timeout = '2s';\nDROP INDEX public.notes_body;\n"
)

// allowedMigration is badMigration with a comment that allows what is bad.
var allowedMigration = strings.Replace(badMigration,
	"CREATE INDEX", "-- atlasctl:allow ATL-MIG-001 the table is small\nCREATE INDEX", 1)

func newRepository(t *testing.T) repository {
	t.Helper()
	for _, tool := range []string{"git", "bash", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	path := filepath.Dir(binary(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	r := repository{t: t, dir: t.TempDir(), env: []string{
		"PATH=" + path, "HOME=/nonexistent", "TMPDIR=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}}
	r.must("git init -q -b main")
	r.write("migrations/00001_notes.sql", released)
	r.must("git add . && git commit -q -m released")
	return r
}

func (r repository) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// sh runs a command as GitHub runs a step.
func (r repository) sh(command string, env ...string) (output string, code int) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "bash", "-e", "-c", command)
	cmd.Dir, cmd.Env = r.dir, slices.Concat(r.env, env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (r repository) must(command string, env ...string) {
	r.t.Helper()
	if out, code := r.sh(command, env...); code != 0 {
		r.t.Fatalf("%s: exit code %d\n%s", command, code, out)
	}
}

// wants runs a command and wants an exit code; it returns what was printed.
func (r repository) wants(code int, command string, env ...string) string {
	r.t.Helper()
	out, got := r.sh(command, env...)
	if got != code {
		r.t.Fatalf("%s: exit code %d, want %d\n%s", command, got, code, out)
	}
	return out
}

func (r repository) read(name string) string {
	r.t.Helper()
	return readFile(r.t, filepath.Join(r.dir, name))
}

// deployCases are the migrations that a change may bring.
var deployCases = []struct {
	name, migration string
	code            int
	findings        int // that count
	allowed         int
}{
	{"good", goodMigration, 0, 0, 0},
	{"bad", badMigration, 3, 1, 0},
	{"allowed", allowedMigration, 0, 0, 1},
}

func TestDeployedGitHubWorkflow(t *testing.T) {
	t.Parallel()
	steps := readExamples(t).github
	for i, c := range deployCases {
		if !pgtest.Sampled(i+2, 3) { // the bad one
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.write("migrations/00002_index.sql", c.migration)
			env := []string{"BASE=main", "GITHUB_STEP_SUMMARY=" + filepath.Join(r.dir, "summary.md")}
			r.wants(c.code, steps[0], env...)
			r.wants(0, steps[1], env...)
			r.wants(0, steps[2], env...)
			if got := sarifErrors(t, r.read("found.sarif")); got != c.findings+c.allowed {
				t.Errorf("%d errors found, want %d", got, c.findings+c.allowed)
			}
			if got := sarifErrors(t, r.read("counted.sarif")); got != c.findings {
				t.Errorf("%d errors counted, want %d", got, c.findings)
			}
			if summary := r.read("summary.md"); !strings.Contains(summary, "00002_index.sql") {
				t.Errorf("the summary does not name the file:\n%s", summary)
			}
		})
	}
}

func sarifErrors(t *testing.T, text string) int {
	t.Helper()
	var log struct {
		Runs []struct {
			Results []struct{ Level string }
		}
	}
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	n := 0
	for _, result := range log.Runs[0].Results {
		if result.Level == "error" {
			n++
		}
	}
	return n
}

func TestDeployedGitLabJob(t *testing.T) {
	t.Parallel()
	script := readExamples(t).gitlab
	for i, c := range deployCases[:2] {
		if !pgtest.Sampled(i+1, 2) { // the bad one
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.write("migrations/00002_index.sql", c.migration)
			head := strings.TrimSpace(r.wants(0, "git rev-parse HEAD"))
			r.wants(c.code, script[0], "CI_MERGE_REQUEST_DIFF_BASE_SHA="+head)
			var suites struct {
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
			}
			if err := xml.Unmarshal([]byte(r.read("migrations.xml")), &suites); err != nil {
				t.Fatal(err)
			}
			if suites.Failures != c.findings || suites.Errors != 0 {
				t.Errorf("%d failures and %d errors, want %d and none", suites.Failures, suites.Errors, c.findings)
			}
		})
	}
}

func TestDeployedPreCommitConfig(t *testing.T) {
	t.Parallel()
	e := readExamples(t)
	for name, want := range map[string]bool{
		"migrations/00002_index.sql": true, "migrations/old/1.sql": true, "migrations/README.md": false, "sql/migrations/1.sql": false,
	} {
		if e.files.MatchString(name) != want {
			t.Errorf("files matches %s: %t", name, !want)
		}
	}
	for i, c := range deployCases[:2] {
		if !pgtest.Sampled(i+1, 2) { // the bad one
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.write("migrations/00002_index.sql", c.migration)
			r.must("git add .")
			r.wants(c.code, e.entry)
		})
	}
}

// installHook is what the hook's own comment says.
func (r repository) installHook() {
	r.t.Helper()
	hook, err := filepath.Abs(filepath.Join(deployDir, "pre-commit"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.must("mkdir -p .git/hooks && cp '" + hook + "' .git/hooks/ && chmod +x .git/hooks/pre-commit")
}

func TestDeployedHook(t *testing.T) {
	t.Parallel()
	for i, c := range deployCases[:2] {
		if !pgtest.Sampled(i+1, 2) { // the bad one
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.installHook()
			r.write("migrations/00002_index.sql", c.migration)
			r.must("git add .")
			want := 0
			if c.code != 0 {
				want = 1 // git's own
			}
			out := r.wants(want, "git commit -q -m change")
			if strings.Contains(out, "ATL-MIG-001") != (c.findings > 0) {
				t.Errorf("the hook says\n%s", out)
			}
		})
	}
	if !pgtest.Sampled(1, 2) {
		return
	}
	t.Run("a file beside migrations", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.installHook()
		r.write("migrations/00002_index.sql", badMigration) // not staged
		r.write("README.md", "text\n")
		r.must("git add README.md")
		if out := r.wants(0, "git commit -q -m change"); out != "" {
			t.Errorf("the hook says\n%s", out)
		}
	})
	t.Run("what is staged, not what lies there", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.installHook()
		r.write("migrations/00002_index.sql", badMigration)
		r.must("git add .")
		r.write("migrations/00002_index.sql", goodMigration)
		r.wants(1, "git commit -q -m change")
		r.must("git add .")
		r.write("migrations/00002_index.sql", badMigration)
		r.wants(0, "git commit -q -m change")
	})
	t.Run("commit -a, from below, in a worktree", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.installHook()
		r.must("git worktree add -q ../tree-of-" + filepath.Base(r.dir))
		r.dir = filepath.Join(filepath.Dir(r.dir), "tree-of-"+filepath.Base(r.dir))
		r.write("migrations/00002_index.sql", goodMigration)
		r.must("git add .")
		r.write("migrations/00002_index.sql", badMigration)
		r.wants(1, "cd migrations && git commit -q -a -m change")
	})
	t.Run("a released migration removed", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.installHook()
		r.write("migrations/00002_index.sql", released)
		r.must("git add . && git rm -q migrations/00001_notes.sql")
		if out := r.wants(1, "git commit -q -m change"); !strings.Contains(out, "ATL-MIG-053") {
			t.Errorf("the hook says\n%s", out)
		}
	})
	t.Run("the first commit, in a directory of one's own", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.installHook()
		r.must("git checkout -q --orphan first && git mv migrations 'sql files' && git config atlasctl.migrations 'sql files'")
		r.wants(0, "git commit -q -m change")
		r.write("sql files/00002_index.sql", badMigration)
		r.must("git add .")
		r.wants(1, "git commit -q -m change")
	})
}

// What the examples only speak of exists too.
func TestDeployedFlagsExist(t *testing.T) {
	t.Parallel()
	help := atlasctl(t, binary(t), "", "migrate", "check", "--help")
	for _, name := range []string{"github-actions.yml", "gitlab-ci.yml", "pre-commit-config.yaml"} {
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(readFile(t, filepath.Join(deployDir, name)), -1) {
			if !strings.Contains(help, flag+" ") {
				t.Errorf("%s: atlasctl migrate check has no %s", name, flag)
			}
		}
	}
}
