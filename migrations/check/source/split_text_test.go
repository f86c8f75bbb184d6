package source_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	got := source.Split("-- rows\nINSERT INTO a VALUES ('x;y');\n\n\\echo no SQL\nDO $$ BEGIN; END $$;\nSELECT 1")
	if diff := cmp.Diff([]string{"INSERT INTO a VALUES ('x;y')", "DO $$ BEGIN; END $$", "SELECT 1"}, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	if got := source.Split(""); len(got) != 0 {
		t.Errorf("statements of nothing: %q", got)
	}
}
