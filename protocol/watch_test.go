package protocol

import (
	"errors"
	"testing"
	"time"
)

// TestWatchSaysWhatWasLookedAt has a command that is not answered: that it could not be looked at is said only if somebody
// has looked.
func TestWatchSaysWhatWasLookedAt(t *testing.T) {
	const unseen = "could not be looked at"
	for _, test := range []struct {
		name   string
		verify time.Duration
		note   string
	}{
		{"not to be looked at", 0, ""},
		{"looked at in vain", 10 * time.Second, unseen},
	} {
		w := Watch{
			Times:  LookTimes(test.verify),
			Looks:  []func() Step{func() Step { return Step{} }},
			Plan:   func(steps ...Step) Plan { return Plan{Steps: steps} },
			See:    func(Answer) Sight { return Sight{} },
			Report: func(seen Watched) Report { return seen.Report("seen", unseen, "unmoved") },
		}
		plan := w.Begin(Answer{Err: ErrSilent})
		for plan.Then != nil {
			var err error
			if plan, err = plan.Then([]Answer{{Err: errors.New("nothing came")}}); err != nil {
				t.Fatal(err)
			}
		}
		if plan.Report == nil || plan.Report.Note != test.note {
			t.Errorf("%s: the report is %+v, want the note %q", test.name, plan.Report, test.note)
		}
	}
}
