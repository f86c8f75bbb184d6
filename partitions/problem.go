package partitions

import (
	"context"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// problemFix says what to do about an object that can't be moved.
func problemFix(ctx context.Context, q pg.Queryer, spec Spec, ob Object) (string, error) {
	switch {
	case strings.Contains(ob.Problem, "belongs to"):
		return "connect as its owner, or as a member of it and of the table's owner", nil
	case ob.Kind == kindMatView, ob.Kind == kindView:
		return remakeFix(ctx, q, ob.Name)
	case ob.Kind == kindForeignKey:
		return fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", spec.Table.SQL(), pg.Ident(ob.Name)), nil
	case ob.Kind == kindNotNull:
		return fmt.Sprintf("ALTER TABLE %[1]s VALIDATE CONSTRAINT %[2]s, or ALTER TABLE %[1]s ALTER CONSTRAINT %[2]s INHERIT", spec.Table.SQL(), pg.Ident(ob.Name)), nil
	case ob.Kind == kindIndex:
		return fmt.Sprintf("REINDEX INDEX CONCURRENTLY %s, or DROP INDEX CONCURRENTLY it", spec.Table.With(ob.Name).SQL()), nil
	case ob.Kind == kindCheck:
		return fmt.Sprintf("make %s anew without NO INHERIT", pg.Ident(ob.Name)), nil
	case ob.Kind == "publication":
		return fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true)", pg.Ident(ob.Name)), nil
	case ob.Kind == kindKeyUser:
		return "drop it, or name every column that it shows in its GROUP BY, and no constraint in ON CONFLICT", nil
	default:
		return "drop it before the conversion and make it again afterwards", nil
	}
}
