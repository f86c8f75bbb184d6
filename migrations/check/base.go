package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Released reads the files of a directory as they are at a revision of the git
// repository that it is in, by name below the directory.
func Released(ctx context.Context, dir, revision string) (map[string]string, error) {
	names, err := git(ctx, dir, "ls-tree", "-r", "-z", "--name-only", "--end-of-options", revision, "./")
	if err != nil {
		return nil, pg.WithHint(pg.Usagef("--base %s: %w", revision, err), "in CI the history has to be fetched first, for example with fetch-depth: 0")
	}
	files := map[string]string{}
	for name := range strings.SplitSeq(names, "\x00") {
		if !strings.EqualFold(filepath.Ext(name), ".sql") {
			continue
		}
		text, err := git(ctx, dir, "show", "--end-of-options", revision+":./"+name)
		if err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", name, revision, err)
		}
		files[name] = strings.TrimPrefix(text, "\ufeff")
	}
	return files, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...) //nolint:gosec // a program of the user's own, with a revision behind --end-of-options
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			return "", errors.New(said)
		}
		return "", err
	}
	return out.String(), nil
}
