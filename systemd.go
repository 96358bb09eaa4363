package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A service is what systemd is told about.
type service interface {
	Started() <-chan struct{}
	Unhealthy() string
}

// notifySystemd tells systemd, if that has started us with Type=notify, that the service has
// started, that it is alive, and, when ctx ends, that it stops. It calls a service alive for
// which a health check would find nothing wrong: a silent meter or an absent broker is no
// reason to be started again.
func notifySystemd(ctx context.Context, s service, log *slog.Logger) {
	tell := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Warn("systemd does not hear how the bridge is and may stop it", "state", state, "err", err)
		}
	}
	select {
	case <-s.Started():
		tell(daemon.SdNotifyReady)
	case <-ctx.Done():
	}
	defer tell(daemon.SdNotifyStopping)

	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog will find the bridge dead, for the time it allows cannot be read", "err", err)
	}
	if limit == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(limit / 2) // as sd_watchdog_enabled(3) advises
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if ill := s.Unhealthy(); ill != "" {
				log.Error("something hangs; systemd's watchdog is left to start the bridge again", "what", ill)
				continue
			}
			tell(daemon.SdNotifyWatchdog)
		}
	}
}
