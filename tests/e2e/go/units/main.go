// SPDX-License-Identifier: GPL-2.0-or-later

// A service, what it calls and its load, for tests/e2e/cases_runtime_go.py: "service", "backend" or "load". The service serves
// requests at /ROUTE/ID; a call that it makes for one has ROUTE-ID-0 (1, 2 ...) in its path or its query. It uses the standard
// library alone and compiles with Go 1.19.
package main

import (
	"fmt"
	"net"
	"os"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "units:", err)
		os.Exit(1)
	}
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	return l
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("service, backend or load?"))
	}
	switch os.Args[1] {
	case "backend":
		backend()
	case "service":
		service()
	case "load":
		load()
	default:
		fail(fmt.Errorf("no such side: %s", os.Args[1]))
	}
}
