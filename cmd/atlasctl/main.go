// Command atlasctl turns big live PostgreSQL tables into range partitions and
// keeps them so.
package main

import (
	"os"

	"github.com/atlasctl/atlasctl/cmd"
)

func main() { os.Exit(cmd.Main()) }
