// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var plain, secure string
var client, secureClient, http2Client *http.Client

func newClient(http2 bool) *http.Client {
	t := &http.Transport{MaxIdleConnsPerHost: 10, MaxConnsPerHost: 10, ForceAttemptHTTP2: http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if !http2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return &http.Client{Transport: t}
}

func fetchFrom(c *http.Client, base, key string) {
	answer, err := c.Get(base + key)
	fail(err)
	_, err = io.Copy(io.Discard, answer.Body)
	fail(err)
	answer.Body.Close()
}

func fetch(key string)       { fetchFrom(client, plain, key) }
func fetchSecure(key string) { fetchFrom(secureClient, secure, key) }
func fetchHTTP2(key string)  { fetchFrom(http2Client, secure, key) }

// all of them, each on a goroutine of its own.
func all(calls ...func()) {
	var wait sync.WaitGroup
	for _, call := range calls {
		wait.Add(1)
		go func(call func()) {
			defer wait.Done()
			call()
		}(call)
	}
	wait.Wait()
}

// Workers that the first request starts and that work for all from then on.
var startWorkers sync.Once
var jobs = make(chan func())
var conditional = struct {
	*sync.Cond
	jobs []func()
}{Cond: sync.NewCond(new(sync.Mutex))}

func worker(jobs chan func()) {
	for job := range jobs {
		job()
	}
}

func nextJob() func() {
	conditional.L.Lock()
	defer conditional.L.Unlock()
	for len(conditional.jobs) == 0 {
		conditional.Wait()
	}
	job := conditional.jobs[0]
	conditional.jobs = conditional.jobs[1:]
	return job
}

func viaWorkers(which int, call func()) {
	startWorkers.Do(func() {
		for i := 0; i < 5; i++ {
			go worker(jobs)
			go func() {
				for {
					select {
					case job := <-jobs:
						job()
					case <-context.Background().Done():
						return
					}
				}
			}()
			go func() {
				for {
					nextJob()()
				}
			}()
		}
	})
	done := make(chan bool)
	job := func() {
		call()
		close(done)
	}
	if which%2 == 0 {
		jobs <- job
	} else {
		conditional.L.Lock()
		conditional.jobs = append(conditional.jobs, job)
		conditional.Signal()
		conditional.L.Unlock()
	}
	<-done
}

// answer does what the route says, for request `id`.
func answer(route string, id int) {
	key := func(i int) string { return fmt.Sprintf("%s-%d-%d", route, id, i) }
	switch route {
	case "none":
		time.Sleep(2 * time.Millisecond)
	case "direct":
		fetch(key(0))
	case "seq":
		fetch(key(0))
		query(key(1))
		fetch(key(2))
	case "fan":
		all(func() { fetch(key(0)) }, func() { query(key(1)) }, func() { fetch(key(2)) })
	case "nested":
		all(func() {
			all(func() { query(key(0)) }, func() { time.Sleep(time.Millisecond); fetch(key(1)) })
			fetch(key(2))
		})
	case "timer":
		time.Sleep(3 * time.Millisecond)
		query(key(0))
		select {
		case <-time.After(time.Millisecond):
			fetch(key(1))
		case <-context.Background().Done():
		}
	case "after":
		go func() {
			time.Sleep(5 * time.Millisecond)
			fetch(key(0))
			query(key(1))
		}()
	case "tls":
		fetchSecure(key(0))
		all(func() { fetchSecure(key(1)) })
	case "client2":
		fetchHTTP2(key(0))
		all(func() { fetchHTTP2(key(1)) })
	case "pull":
		pull(func() { fetch(key(0)) }, func() { query(key(1)) })
	case "workers":
		viaWorkers(id/7, func() {
			if id%2 == 0 {
				fetch(key(0))
			} else {
				query(key(0))
			}
		})
	}
}

// service prints its port; -tls, -h2 as it is to be served.
func service() {
	set := flag.NewFlagSet("service", flag.ExitOnError)
	overTLS := set.Bool("tls", false, "TLS")
	http2 := set.Bool("h2", false, "HTTP/2, over TLS")
	ports := set.String("backend", "", "what the backend has printed")
	fail(set.Parse(os.Args[2:]))
	port := strings.Fields(*ports)
	if len(port) != 3 {
		fail(fmt.Errorf("-backend: three ports"))
	}
	plain, secure = "http://127.0.0.1:"+port[0]+"/", "https://127.0.0.1:"+port[1]+"/"
	client, secureClient, http2Client = newClient(false), newClient(false), newClient(true)
	openDB("127.0.0.1:" + port[2])
	l := listen()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var route string
		var id int
		if _, err := fmt.Sscanf(strings.Replace(r.URL.Path, "/", " ", -1), "%s %d", &route, &id); err != nil {
			http.Error(w, "what?", 404)
			return
		}
		answer(route, id)
		fmt.Fprintln(w, "ok")
	})}
	go func() {
		for i := 0; ; i++ { // belongs to no request
			time.Sleep(20 * time.Millisecond)
			fetch(fmt.Sprint("nobody-", i, "-0"))
		}
	}()
	if *overTLS {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate()}}
		if !*http2 {
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		go func() { fail(server.ServeTLS(l, "", "")) }()
	} else {
		go func() { fail(server.Serve(l)) }()
	}
	fmt.Println("listening", portOf(l))
	io.Copy(io.Discard, os.Stdin)
}
