// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// transport: as net/http makes one, but for what the options say.
func transport(o *options) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"},
		ForceAttemptHTTP2:   o.h2,
		MaxIdleConnsPerHost: o.c,
		DisableKeepAlives:   o.fresh,
	}
	if o.h2 && !o.tls {
		plainHTTP2Client(t)
	}
	var depth int64
	if o.wrap {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &wrapped{"a connection", c}, err
		}
	}
	if o.stress && o.tls {
		t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			config := t.TLSClientConfig.Clone()
			if o.h2 {
				config.NextProtos = []string{"h2"}
			}
			tc := tls.Client(c, config)
			onFreshStack(int(atomic.AddInt64(&depth, 7)%400), func() { err = tc.HandshakeContext(ctx) })
			return tc, err
		}
	}
	return t
}

// request makes the id'th request.
func request(o *options, client *http.Client, id int) Seen {
	method, body := "GET", ""
	if id%5 == 0 {
		method, body = "POST", strings.Repeat("b", id%5000)
	}
	if id%7 == 0 { // on the wire a number, from the second time on
		method = "PUT"
	}
	where := "/a/"
	if o.stress {
		where = "/deep/"
	}
	s := Seen{ID: id, Method: method, Path: where + strconv.Itoa(id)}
	r, err := http.NewRequest(method, o.url+s.Path, strings.NewReader(body))
	fail(err)
	r = r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { s.Port = portOf(i.Conn.LocalAddr().String()) }}))
	s.Begin = time.Now().UnixNano()
	answer, err := client.Do(r)
	fail(err)
	n, err := io.Copy(io.Discard, answer.Body)
	fail(err)
	answer.Body.Close()
	s.End = time.Now().UnixNano()
	s.Status, s.Proto = answer.StatusCode, answer.Proto
	if want := int64(id % 30000); n != want && n != 2 {
		fail(fmt.Errorf("request %d: %d bytes, not %d", id, n, want))
	}
	return s
}

// drive makes the requests when the first line comes on stdin.
func drive(o *options) {
	lines := bufio.NewScanner(os.Stdin)
	client := &http.Client{Transport: transport(o)}
	var next, last int64 = int64(o.first), int64(o.first + o.n)
	if o.n == 0 {
		last = 1 << 40
	}
	fmt.Println("ready")
	lines.Scan()
	var seen log
	var workers sync.WaitGroup
	for i := 0; i < o.c; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				id := atomic.AddInt64(&next, 1) - 1
				if id >= atomic.LoadInt64(&last) {
					return
				}
				seen.add(request(o, client, int(id)))
			}
		}()
	}
	if o.n == 0 {
		lines.Scan()
		more, err := strconv.Atoi(lines.Text())
		fail(err)
		atomic.StoreInt64(&last, atomic.LoadInt64(&next)+int64(more))
	}
	workers.Wait()
	client.CloseIdleConnections()
	report(seen.seen)
	lines.Scan() // and stays until the test has seen it
}
