// SPDX-License-Identifier: GPL-2.0-or-later

// A target of tools/accuracy: Go. main PORT. Calls: PostgreSQL (database/sql with lib/pq), HTTP (net/http), Redis (go-redis),
// each over a pool of 10 connections.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

var (
	db     *sql.DB
	cache  *redis.Client
	client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, MaxConnsPerHost: 10}}
	queue  = make(chan func())
)

func query(key string) error {
	var a, b string
	return db.QueryRow("select '"+key+"', pg_sleep(random()*0.003)::text").Scan(&a, &b)
}

func fetch(key string) error {
	r, err := client.Get("http://127.0.0.1:" + os.Getenv("BACKEND_PORT") + "/b/" + key)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func get(key string) error {
	if err := cache.Get(context.Background(), key).Err(); err != redis.Nil {
		return err
	}
	return nil
}

var operations = []func(string) error{query, fetch, get}

func call(which int, name string, tag any) {
	if err := operations[which%len(operations)](fmt.Sprint(name, "-", tag)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func work(route, name string) {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "id"))
	switch route {
	case "one":
		call(n, name, 1)
	case "seq":
		for i := 0; i <= n%4; i++ {
			call(i, name, i+1)
		}
	case "par":
		var all sync.WaitGroup
		for i := 0; i <= n%4; i++ {
			all.Add(1)
			go func(i int) {
				call(i, name, i+1)
				all.Done()
			}(i)
		}
		all.Wait()
	case "think":
		time.Sleep(3 * time.Millisecond)
		call(n, name, 1)
		time.Sleep(2 * time.Millisecond)
		call(n+1, name, 2)
	case "queue":
		done := make(chan bool)
		queue <- func() {
			call(n, name, 1)
			done <- true
		}
		<-done
	case "sleep":
		time.Sleep(5 * time.Millisecond)
	case "after":
		go func() {
			time.Sleep(5 * time.Millisecond)
			call(n, name, "after")
		}()
	}
}

func main() {
	var err error
	db, err = sql.Open("postgres", "host=127.0.0.1 port="+os.Getenv("POSTGRES_PORT")+" user=postgres dbname=postgres sslmode=disable")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	cache = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Getenv("REDIS_PORT"), PoolSize: 10, PoolTimeout: 30 * time.Second})
	for i := 0; i < 10; i++ {
		go func() {
			for f := range queue {
				f()
			}
		}()
	}
	go func() {
		for i := 0; ; i++ {
			time.Sleep(20 * time.Millisecond)
			call(i, "bg", i)
		}
	}()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		part := strings.Split(r.URL.Path, "/")
		work(part[1], part[2])
		fmt.Fprintln(w, "ok")
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
