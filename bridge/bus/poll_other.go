//go:build !unix

package bus

import "time"

// poll returns what has arrived already, as nearly as package net lets us ask for that.
func (p *tcpPort) poll(data []byte) (int, error) { return p.Read(data, time.Millisecond) }
