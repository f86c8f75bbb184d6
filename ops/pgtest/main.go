package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atlasctl/atlasctl/ops/pgserver"
)

// The environment variables that the package documentation explains.
const (
	EnvVersions = "ATLASCTL_TEST_POSTGRES"
	EnvURL      = "ATLASCTL_TEST_DATABASE_URL"
	EnvThorough = "ATLASCTL_TEST_THOROUGH"
)

// Sampled says whether the nth case of many is tried, of which one in every is:
// others on another version of PostgreSQL, and all of them if the environment
// wants it thorough.
func Sampled(n, every int) bool {
	version, _ := strconv.Atoi(os.Getenv(EnvVersions)) // 0: what the machine has
	return (n+version)%every == 0 || os.Getenv(EnvThorough) != ""
}

// startTimeout bounds the start of a server, a download included.
const startTimeout = 10 * time.Minute

// Main runs the tests, once or once per version; stops the shared server; fails
// if goroutines are left that ignore does not name; and exits.
func Main(m *testing.M, ignore ...goleak.Option) {
	inMemory()
	if versions := strings.Split(os.Getenv(EnvVersions), ","); len(versions) > 1 && os.Getenv(EnvURL) == "" {
		os.Exit(matrix(versions))
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	// A failed test may have stopped half-way; its goroutines say nothing new.
	if code == 0 {
		if err := goleak.Find(ignore...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// matrix runs this binary again for each version and returns the worst exit
// code. Its header lines start like a comment, which test2json passes through.
func matrix(versions []string) (worst int) {
	for _, v := range versions {
		v = strings.TrimSpace(v)
		fmt.Printf("# PostgreSQL %s\n", v)
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Env = append(os.Environ(), EnvVersions+"="+v)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() > 0:
			worst = max(worst, exit.ExitCode())
		case err != nil: // also ended by a signal
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			worst = max(worst, 1)
		}
	}
	return worst
}

// sharedServer is the server of this test binary, started by whoever asks first.
type sharedServer struct {
	once   sync.Once
	server *pgserver.Server // nil if EnvURL names another
	admin  string
	err    error
}

var shared sharedServer

func (s *sharedServer) url() (string, error) {
	s.once.Do(func() {
		if s.admin = os.Getenv(EnvURL); s.admin != "" {
			return
		}
		// Not a test's context: the server outlives the test that starts it.
		if s.server, s.err = start(context.Background(), nil); s.err == nil {
			s.admin = s.server.URL("postgres")
		}
	})
	return s.admin, s.err
}

func (s *sharedServer) stop() error {
	s.once.Do(func() {}) // from here on nobody starts it
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

func start(ctx context.Context, settings map[string]string) (*pgserver.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return pgserver.Start(ctx, pgserver.Options{
		Version:  os.Getenv(EnvVersions),
		Settings: settings,
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}
