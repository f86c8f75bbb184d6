package pg_test

import (
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
