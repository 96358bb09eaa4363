//go:build linux

package main

import "testing"

// TestLoadCleansUpWhatItHas ends a load whose broker did not start, as where there is no mosquitto.
func TestLoadCleansUpWhatItHas(t *testing.T) {
	(&load{}).cleanUp()
	(&chaos{}).cleanUp()
}
