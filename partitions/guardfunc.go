package partitions

import (
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// function makes a trigger function that runs as the table's owner, whom its
// policies don't stop, and that nobody else may put to other uses.
func (g guard) function(name pg.Name, body string) []string {
	var d ddl
	d.add("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %s",
		name.SQL(), pg.Literal(body))
	d.add("%s", pg.CloseSQL("FUNCTION", name.SQL()+"()"))
	d.add("ALTER FUNCTION %s() OWNER TO %s", name.SQL(), pg.Ident(g.owner))
	return d
}

// equal compares two rows column by column.
func equal(left string, leftColumns, operators []string, right string, rightColumns []string) string {
	terms := make([]string, len(leftColumns))
	for i := range leftColumns {
		terms[i] = fmt.Sprintf("%s.%s %s %s.%s", left, pg.Ident(leftColumns[i]), operators[i], right, pg.Ident(rightColumns[i]))
	}
	return strings.Join(terms, " AND ")
}

// of lists columns of a row.
func of(row string, columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = row + "." + pg.Ident(c)
	}
	return strings.Join(list, ", ")
}

// anyNull says that a row refers to nothing. Under MATCH FULL the foreign key
// itself refuses a key that is NULL in part.
func anyNull(row string, columns []string) string {
	terms := make([]string, len(columns))
	for i, c := range columns {
		terms[i] = row + "." + pg.Ident(c) + " IS NULL"
	}
	return strings.Join(terms, " OR ")
}

// unchangedKey lets an UPDATE pass that leaves the reference as it was.
func (g guard) unchangedKey() string {
	return fmt.Sprintf(`  IF %s THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF %s THEN
      RETURN NULL;
    END IF;
  END IF;
`, anyNull("NEW", g.Columns), equal("OLD", g.Columns, g.ChildEquals, "NEW", g.Columns))
}

func (g guard) keepSQL() string {
	return fmt.Sprintf("  INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING;\n", g.keys().SQL(), pg.Idents(g.Referenced), of("NEW", g.Columns))
}

// checkBody looks for the row that is referred to and locks its key, in the
// words in which a foreign key complains.
func (g guard) checkBody() string {
	var b strings.Builder
	b.WriteString("BEGIN\n")
	b.WriteString(g.unchangedKey())
	if g.Deferrable { // by now the row may be another, or gone
		fmt.Fprintf(&b, "  IF NOT EXISTS (SELECT FROM ONLY %s x WHERE %s) THEN\n    RETURN NULL;\n  END IF;\n",
			g.child().SQL(), equal("x", g.Columns, g.ChildEquals, "NEW", g.Columns))
	}
	fmt.Fprintf(&b, "  PERFORM FROM %s x WHERE %s FOR KEY SHARE;\n", g.table.SQL(), equal("x", g.Referenced, g.MatchEquals, "NEW", g.Columns))
	fmt.Fprintf(&b, `  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = %s,
      MESSAGE = %s, DETAIL = %s;
  END IF;
`, pg.Literal(g.Name),
		pg.Literal("insert or update on table "+quoted(g.ChildTable)+" violates foreign key constraint "+quoted(g.Name)),
		pg.Literal("Key ("+joinColumns(g.Columns)+") is not present in table "+quoted(g.table.Table)+"."))
	if !g.Deferrable {
		b.WriteString(g.keepSQL())
	}
	b.WriteString("  RETURN NULL;\nEND")
	return b.String()
}

func (g guard) keepBody() string {
	return "BEGIN\n" + g.unchangedKey() + g.keepSQL() + "  RETURN NULL;\nEND"
}

// archivingSetting tells the guards of a table that its rows leave for the
// archive: nobody's children are to follow. Only the owner is believed.
const archivingSetting = "atlasctl.archiving"

// followBody does to the key what was done to the row, and the foreign key
// acts. A row that moves to another partition is deleted there and still here.
func (g guard) followBody() string {
	keys := g.keys().SQL()
	old := equal("x", g.Referenced, g.KeyEquals, "OLD", g.Referenced)
	columns := pg.Idents(g.Referenced)
	return fmt.Sprintf(`BEGIN
  IF %[1]s THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.current_setting(%[2]s, true) = 'on' AND pg_catalog.pg_has_role(session_user, current_user, 'USAGE') THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM %[3]s x WHERE %[4]s) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF pg_catalog.current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    INSERT INTO %[5]s (%[6]s) VALUES (%[7]s) ON CONFLICT DO NOTHING;
  END IF;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM %[5]s x WHERE %[4]s;
  ELSE
    DELETE FROM %[5]s x WHERE %[8]s;
    UPDATE %[5]s x SET (%[6]s) = ROW (%[9]s) WHERE %[4]s;
  END IF;
  RETURN NULL;
END`, anyNull("OLD", g.Referenced), pg.Literal(archivingSetting), g.table.SQL(), old, keys, columns, of("OLD", g.Referenced),
		equal("x", g.Referenced, g.KeyEquals, "NEW", g.Referenced), of("NEW", g.Referenced))
}

// refuseBody is for what a foreign key would refuse too, or no trigger can
// follow.
func (g guard) refuseBody() string {
	return fmt.Sprintf(`BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'cannot truncate a table referenced in a foreign key constraint',
      DETAIL = %s;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = %s,
    HINT = 'Change the key and the partition key in two statements.';
END`, pg.Literal("Table "+quoted(g.ChildTable)+" references "+quoted(g.table.Table)+"."),
		pg.Literal("a row of "+quoted(g.table.Table)+" that foreign key "+quoted(g.Name)+" may refer to can't change its key and its partition at once"))
}

// quoted is a name as PostgreSQL shows it in messages.
func quoted(name string) string { return `"` + name + `"` }
