// SPDX-License-Identifier: GPL-2.0-or-later

//go:build go1.23

package main

import "iter"

// pull makes the calls in a coroutine, each when it is asked for.
func pull(calls ...func()) {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i, call := range calls {
			call()
			if !yield(i) {
				return
			}
		}
	})
	defer stop()
	for _, ok := next(); ok; _, ok = next() {
	}
}
