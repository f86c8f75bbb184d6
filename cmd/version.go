package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built; otherwise the build information
// says where the code came from.
var version = ""

func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

type versionRow struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			row := versionRow{versionString(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if a.flags.output == outputTable || a.flags.output == outputWide {
				_, err := fmt.Fprintf(a.out, "atlasctl %s (%s, %s)\n", row.Version, row.Go, row.Platform)
				return err
			}
			return emit(a, result[versionRow]{command: "version", rows: []versionRow{row}})
		},
	}
}
