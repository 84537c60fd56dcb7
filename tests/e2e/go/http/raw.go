// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serveRaw is a server of our own that does what net/http never does: it reads into a buffer on its goroutine's stack, which
// moves while the read waits (the collector makes the stack smaller), and does so at any depth.
func serveRaw(o *options) {
	var seen log
	l, config := listen(o)
	var conns sync.WaitGroup
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer conns.Done()
				defer c.Close()
				t := tls.Server(c, config)
				// tall and short again: the stack is now larger than what is needed
				deep(600, func() {})
				for depth := 0; rawRequest(t, c, depth%300, &seen); depth++ {
				}
				t.Close()
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	l.Close()
	conns.Wait()
	report(seen.seen)
}

// rawRequest answers one GET; false: there is none any more.
func rawRequest(t *tls.Conn, c net.Conn, depth int, seen *log) (more bool) {
	deep(depth, func() {
		var buffer [2048]byte
		n := 0
		for !bytes.Contains(buffer[:n], []byte("\r\n\r\n")) {
			got, err := t.Read(buffer[n:])
			if err != nil {
				return
			}
			n += got
		}
		begin := time.Now()
		line := strings.Fields(string(buffer[:n]))
		id, err := strconv.Atoi(path.Base(line[1]))
		fail(err)
		fmt.Fprintf(t, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status(id))
		seen.add(Seen{id, line[0], line[1], status(id), portOf(c.RemoteAddr().String()), line[2],
			begin.UnixNano(), time.Now().UnixNano()})
		more = true
	})
	return more
}
