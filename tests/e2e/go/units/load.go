// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"sync"
)

// load asks for one route after the other, by chance, -c at a time. It says "running" when each connection has had some
// answers; each line "N" on stdin is answered with "N" when so many more have come; the line "end N" lets N more begin, and
// then it prints the routes in the order of their ids.
func load() {
	set := flag.NewFlagSet("load", flag.ExitOnError)
	url := set.String("url", "", "where to")
	routes := set.String("routes", "direct", "which, with spaces between them")
	http2 := set.Bool("h2", false, "HTTP/2")
	c := set.Int("c", 1, "at a time")
	first := set.Int("first", 0, "first id")
	fail(set.Parse(os.Args[2:]))
	choice, t := strings.Fields(*routes), &http.Transport{MaxIdleConnsPerHost: *c, ForceAttemptHTTP2: *http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if !*http2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: t}
	var lock sync.Mutex
	asked, answered, limit := []string{}, 0, -1
	changed, wait := sync.NewCond(&lock), sync.WaitGroup{}
	next := func() (int, string) {
		lock.Lock()
		defer lock.Unlock()
		if limit >= 0 && len(asked) >= limit {
			return -1, ""
		}
		asked = append(asked, choice[rand.Intn(len(choice))])
		return len(asked) - 1, asked[len(asked)-1]
	}
	for i := 0; i < *c; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for id, route := next(); id >= 0; id, route = next() {
				r, err := http.NewRequest("GET", fmt.Sprintf("%s/%s/%d", *url, route, *first+id), nil)
				fail(err)
				r.Close = !*http2 && id%4 == 0
				answer, err := client.Do(r)
				fail(err)
				_, err = io.Copy(io.Discard, answer.Body)
				fail(err)
				answer.Body.Close()
				if answer.StatusCode != 200 {
					fail(fmt.Errorf("%s %d: %s", route, id, answer.Status))
				}
				lock.Lock()
				answered++
				lock.Unlock()
				changed.Broadcast()
			}
		}()
	}
	until := func(n int) {
		lock.Lock()
		for answered < n {
			changed.Wait()
		}
		lock.Unlock()
	}
	until(4 * *c)
	fmt.Println("running")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var n int
		if _, err := fmt.Sscanf(in.Text(), "end %d", &n); err == nil {
			lock.Lock()
			limit = len(asked) + n
			lock.Unlock()
			break
		}
		_, err := fmt.Sscan(in.Text(), &n)
		fail(err)
		lock.Lock()
		n += answered
		lock.Unlock()
		until(n)
		fmt.Println(n)
	}
	wait.Wait()
	fail(json.NewEncoder(os.Stdout).Encode(asked))
	io.Copy(io.Discard, os.Stdin)
}
