package bridge

import (
	"context"

	"dlt645-mqtt/bridge/mqtt"
)

// A granting broker grants every subscription.
type granting struct{}

func (granting) Subscribe(context.Context, ...mqtt.Subscription) error { return nil }

func (granting) Unsubscribe(context.Context, string) error { return nil }

// connected has the keeper of a stage go on as on a new connection to a broker that has kept nothing.
func (s *stage) connected(ctx context.Context) {
	s.listening.Store(true)
	s.keeper.Up()
	s.keeper.Restored.Store(true)
	s.keeper.Listen(ctx, granting{})
}
