// SPDX-License-Identifier: GPL-2.0-or-later

// A gRPC server that makes calls, and its load, for tests/e2e/cases_runtime_go.py: "server PORT" (of a backend, HTTP) or
// "client PORT". Each answer to /rpc/ID makes the calls rpc-ID-0, rpc-ID-1 and rpc-ID-2, the last two at the same time.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, MaxConnsPerHost: 10}}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "units_grpc:", err)
		os.Exit(1)
	}
}

func fetch(url string) {
	answer, err := client.Get(url)
	fail(err)
	_, err = io.Copy(io.Discard, answer.Body)
	fail(err)
	answer.Body.Close()
}

func serve(backend string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ interface{}, stream grpc.ServerStream) error {
		var text wrapperspb.StringValue
		if err := stream.RecvMsg(&text); err != nil {
			return err
		}
		method, _ := grpc.MethodFromServerStream(stream)
		url := "http://127.0.0.1:" + backend + "/" + strings.Replace(method[1:], "/", "-", 1)
		fetch(url + "-0")
		var wait sync.WaitGroup
		wait.Add(2)
		go func() {
			defer wait.Done()
			fetch(url + "-1")
		}()
		go func() {
			defer wait.Done()
			time.Sleep(time.Millisecond)
			fetch(url + "-2")
		}()
		wait.Wait()
		return stream.SendMsg(&text)
	}))
	go func() { fail(s.Serve(l)) }()
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}

// drive makes as many calls as the line on stdin says, 50 at a time on one connection, and says when it is done.
func drive(port string) {
	c, err := grpc.Dial("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	fail(err)
	fmt.Println("ready")
	in, n := bufio.NewReader(os.Stdin), 0
	_, err = fmt.Fscan(in, &n)
	fail(err)
	ids, wait := make(chan int), sync.WaitGroup{}
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for id := range ids {
				var text wrapperspb.StringValue
				fail(c.Invoke(context.Background(), fmt.Sprintf("/rpc/%d", id), wrapperspb.String("x"), &text))
			}
		}()
	}
	for id := 0; id < n; id++ {
		ids <- id
	}
	close(ids)
	wait.Wait()
	fmt.Println("{}")
	io.Copy(io.Discard, in)
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("server or client, and a port"))
	}
	if os.Args[1] == "server" {
		serve(os.Args[2])
	} else {
		drive(os.Args[2])
	}
}
