// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !go1.23

package main

func pull(calls ...func()) {
	for _, call := range calls {
		call()
	}
}
