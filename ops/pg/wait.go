package pg

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/users.sql
	usersSQL string
	//go:embed sql/running.sql
	runningSQL string
)

// user is a transaction that is waited for.
type user struct {
	Transaction string
	PID         int
}

// WaitForUsers waits, without any lock, until the transactions that now use
// one of the relations have ended; without relations, all that run now in this
// database. Those that begin meanwhile don't matter. Error: [ErrNotNow] naming
// who is left after [DB.LockDeadline].
func (db *DB) WaitForUsers(ctx context.Context, what string, relations ...uint32) error {
	rows, err := db.Query(ctx, usersSQL, relations) // none is NULL
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[user])
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	deadline := time.Now().Add(db.LockDeadline)
	tell := time.Now().Add(db.LockTimeout)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if users, err = stillRunning(ctx, db, users); err != nil || len(users) == 0 {
			return err
		}
		if now := time.Now(); now.After(tell) || now.After(deadline) {
			blockers, err := Sessions(ctx, db, pids(users))
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if now.After(deadline) {
				return db.NotNow(&BusyError{
					Why: fmt.Sprintf("%s: waited %s for transactions that are still open", what, db.LockDeadline), Blockers: blockers,
				})
			}
			db.Log.InfoContext(ctx, "waiting", "to", what, "held_by", blockers)
			tell = now.Add(time.Minute)
		}
		if err := Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func pids(users []user) []int {
	all := make([]int, len(users))
	for i, u := range users {
		all[i] = u.PID
	}
	return all
}

func stillRunning(ctx context.Context, q Queryer, users []user) ([]user, error) {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.Transaction
	}
	rows, err := q.Query(ctx, runningSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("look at running transactions: %w", err)
	}
	running, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look at running transactions: %w", err)
	}
	return slices.DeleteFunc(users, func(u user) bool { return !slices.Contains(running, u.Transaction) }), nil
}
