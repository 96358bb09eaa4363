package mqtt

import (
	"context"
	"time"
)

// KeptPatience is how long a retained message may take to come after its subscription.
const KeptPatience = 5 * time.Second

// A Subscriber asks the broker for messages, over one connection.
type Subscriber interface {
	Subscribe(ctx context.Context, subscriptions ...Subscription) error
	Unsubscribe(ctx context.Context, filter string) error
}

// AskForKept has the broker send, once, the message that it has kept on a topic. It subscribes, waits until came is
// closed or KeptPatience is over, calls then with which of both it was, and unsubscribes. came may be nil. If ctx ends
// meanwhile, then is not called: the next connection asks again. Nor is it if the broker does not grant the
// subscription, which is the error. What keeps the subscription from being ended goes to log.
func AskForKept(ctx context.Context, broker Subscriber, topic string, came <-chan struct{}, then func(inTime bool), log func(error)) error {
	if err := broker.Subscribe(ctx, Subscription{Topic: topic, QoS: 1}); err != nil {
		return err
	}
	timer := time.NewTimer(KeptPatience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-came:
		then(true)
	case <-timer.C:
		then(false)
	}
	if err := broker.Unsubscribe(ctx, topic); err != nil {
		log(err)
	}
	return nil
}
