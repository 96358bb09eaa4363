package bridge

import "sync"

// An admission lets requests in until the bridge stops. The zero value is open.
type admission struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (a *admission) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.inside.Add(1)
	return true
}

func (a *admission) leave() { a.inside.Done() }

// close lets nobody in any more.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

func (a *admission) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// later runs the part of a request that waits; the request is over when it returns.
func (b *Bridge) later(finish func()) {
	go func() {
		defer b.admission.leave()
		finish()
	}()
}
