package migrations

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestScriptsDoTheSameJob(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		before := facts(t, cfg)
		up, err := UpScript(t.Context(), cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sameFacts(t, "after the dry run", before, facts(t, cfg))
		mustUp(t, cfg)
		want := facts(t, cfg)
		downAll, err := DownScript(t.Context(), cfg, DownOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		sameFacts(t, "after the dry run of down", want, facts(t, cfg))

		exec(t, cfg, downAll)
		sameFacts(t, "down by script", before, facts(t, cfg))
		exec(t, cfg, up)
		sameFacts(t, "up by script", want, facts(t, cfg))
		if script, err := UpScript(t.Context(), cfg, Options{}); err != nil || script != "" {
			t.Errorf("nothing is pending, yet: %s %v", script, err)
		}
		if _, err := try(t, cfg, up); err == nil {
			t.Error("the same script ran a second time")
		}
		sameFacts(t, "a second time", want, facts(t, cfg))

		// One step back by script, forward by goose: they keep the same books.
		one, err := DownScript(t.Context(), cfg, DownOptions{})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, cfg, one)
		if done, err := Up(t.Context(), cfg, Options{}); err != nil || len(done) != 1 {
			t.Errorf("%+v %v", done, err)
		}
		sameFacts(t, "one back by script and up", want, facts(t, cfg))
	})
}

func TestScriptOfAdoption(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	exec(t, cfg, theirs)
	script, err := UpScript(t.Context(), cfg, Options{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, cfg, script)
	status, err := Status(t.Context(), cfg)
	if err != nil || !status[2].Adopted || status[3].Adopted || !status[6].Applied {
		t.Errorf("%+v %v", status, err)
	}
}

func TestScriptOfTheState(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	script, err := StateScript(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, cfg, script)
	if script, err := StateScript(t.Context(), cfg); err != nil || script != "" {
		t.Errorf("%s %v", script, err)
	}
	if err := EnsureState(t.Context(), cfg, nil); err != nil {
		t.Error(err)
	}
}
