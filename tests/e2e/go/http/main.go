// SPDX-License-Identifier: GPL-2.0-or-later

// One side of an HTTP conversation, for tests/e2e/cases_go.py: "server" or "client". What it saw itself, it prints as
// JSON when it ends. It uses the standard library alone and compiles with Go 1.19.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
)

// Seen is one request as one side saw it.
type Seen struct {
	ID     int    `json:"id"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Port   int    `json:"port"` // the client's
	Proto  string `json:"proto"`
	Begin  int64  `json:"begin"` // Unix ns
	End    int64  `json:"end"`
}

type options struct {
	tls, h2, wrap, stress, fresh bool
	max                          string
	url                          string
	n, c, first                  int
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func report(seen []Seen) {
	fail(json.NewEncoder(os.Stdout).Encode(seen))
}

// stress keeps the garbage collector running, which also makes stacks that are too large smaller again, and the profiler,
// which walks stacks from signal handlers.
func stress() {
	fail(pprof.StartCPUProfile(io.Discard))
	debug.SetGCPercent(1)
	for {
		runtime.GC()
	}
}

// deep calls f with n more small frames below it, so that some n makes any given call the one that has to grow the stack.
//
//go:noinline
func deep(n int, f func()) byte {
	var frame [40]byte
	frame[n%len(frame)] = byte(n)
	if n == 0 {
		f()
	} else {
		frame[0] += deep(n-1, f)
	}
	return frame[n%len(frame)]
}

// onFreshStack runs f on a goroutine of its own, n frames deep.
func onFreshStack(n int, f func()) {
	done := make(chan bool)
	go func() {
		defer close(done)
		deep(n, f)
	}()
	<-done
}

func main() {
	var o options
	set := flag.NewFlagSet("peer", flag.ExitOnError)
	set.BoolVar(&o.tls, "tls", false, "TLS")
	set.StringVar(&o.max, "max", "", "highest TLS version: 1.2")
	set.BoolVar(&o.h2, "h2", false, "HTTP/2")
	set.BoolVar(&o.wrap, "wrap", false, "the connection below TLS is not a *net.TCPConn, but a type of ours around it")
	set.BoolVar(&o.stress, "stress", false, "collect garbage all the time, read and write on stacks that must grow")
	set.BoolVar(&o.fresh, "fresh", false, "client: a connection for each request")
	set.StringVar(&o.url, "url", "", "client: where to")
	set.IntVar(&o.n, "n", 100, "client: requests; 0: until the second line on stdin tells how many more")
	set.IntVar(&o.c, "c", 1, "client: at a time")
	set.IntVar(&o.first, "first", 0, "client: first id")
	if len(os.Args) < 2 {
		fail(fmt.Errorf("server, client or raw?"))
	}
	fail(set.Parse(os.Args[2:]))
	if o.stress {
		go stress()
	}
	switch os.Args[1] {
	case "server":
		serve(&o)
	case "client":
		drive(&o)
	case "raw":
		serveRaw(&o)
	default:
		fail(fmt.Errorf("no such side: %s", os.Args[1]))
	}
}
