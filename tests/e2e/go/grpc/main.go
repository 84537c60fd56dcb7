// SPDX-License-Identifier: GPL-2.0-or-later

// One side of a gRPC conversation, for tests/e2e/cases_go.py: "server" or "client". The methods have the call's number in their
// names, so that each call can be told from the others. What a side saw itself, it prints as JSON when it ends.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Seen is one call as one side saw it.
type Seen struct {
	Method string `json:"method"`
	Status string `json:"status"`
	Port   int    `json:"port"` // the client's
	Begin  int64  `json:"begin"`
	End    int64  `json:"end"`
}

type log struct {
	sync.Mutex
	seen []Seen
}

func (l *log) add(s Seen) {
	l.Lock()
	defer l.Unlock()
	l.seen = append(l.seen, s)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	fail(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// What each kind of call sends and gets: messages up, messages down, how it ends.
var kinds = map[string]struct {
	up, down int
	end      codes.Code
}{
	"Unary": {1, 1, codes.OK},
	"Down":  {1, 20, codes.OK},
	"Up":    {20, 1, codes.OK},
	"Both":  {20, 20, codes.OK},
	"Fail":  {1, 0, codes.NotFound},
	"Late":  {1, 0, codes.DeadlineExceeded},
}

func kindOf(method string) string {
	return strings.TrimRight(method[strings.LastIndex(method, "/")+1:], "0123456789")
}

// handle answers any method.
func (l *log) handle(_ any, stream grpc.ServerStream) error {
	begin := time.Now().UnixNano()
	method, _ := grpc.MethodFromServerStream(stream)
	from, _ := peer.FromContext(stream.Context())
	kind := kinds[kindOf(method)]
	sent := 0
	send := func() error {
		sent++
		return stream.SendMsg(wrapperspb.String(strings.Repeat("down ", sent)))
	}
	for {
		var m wrapperspb.StringValue
		err := stream.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if kind.up > 1 && kind.down > 1 {
			if err := send(); err != nil {
				return err
			}
		}
	}
	for sent < kind.down {
		if err := send(); err != nil {
			return err
		}
	}
	if kind.end == codes.DeadlineExceeded {
		<-stream.Context().Done()
	}
	l.add(Seen{method, kind.end.String(), from.Addr.(*net.TCPAddr).Port, begin, time.Now().UnixNano()})
	if kind.end != codes.OK {
		return status.Error(kind.end, "as asked")
	}
	return nil
}

func serve(useTLS bool) {
	var seen log
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	options := []grpc.ServerOption{grpc.UnknownServiceHandler(seen.handle)}
	if useTLS {
		cert := certificate()
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	}
	server := grpc.NewServer(options...)
	go server.Serve(l)
	io.Copy(io.Discard, os.Stdin)
	server.GracefulStop()
	fail(json.NewEncoder(os.Stdout).Encode(seen.seen))
}

// connection makes a client connection of its own and tells its local port.
func connection(address string, useTLS bool) (*grpc.ClientConn, int) {
	port := 0
	creds := insecure.NewCredentials()
	if useTLS {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.Dial(address, grpc.WithTransportCredentials(creds), grpc.WithBlock(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil {
				port = c.LocalAddr().(*net.TCPAddr).Port
			}
			return c, err
		}))
	fail(err)
	return conn, port
}

func call(conn *grpc.ClientConn, port int, name string, number int) Seen {
	kind := kinds[name]
	s := Seen{Method: fmt.Sprintf("/weft.test.Echo/%s%d", name, number), Port: port, Begin: time.Now().UnixNano()}
	limit := time.Minute
	if kind.end == codes.DeadlineExceeded {
		limit = 400 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, s.Method)
	for i := 0; err == nil && i < kind.up; i++ {
		err = stream.SendMsg(wrapperspb.String(strings.Repeat("up ", i)))
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		err = stream.RecvMsg(new(wrapperspb.StringValue))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.End = time.Now().UnixNano()
	s.Status = status.Code(err).String()
	return s
}

func drive(address string, useTLS, early bool, n, c int) {
	var seen log
	var workers sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	start, ready := make(chan bool), make(chan bool)
	for i := 0; i < c; i++ {
		workers.Add(1)
		go func(i int) {
			defer workers.Done()
			var conn *grpc.ClientConn
			var port int
			if early {
				conn, port = connection(address, useTLS)
				// calls that nobody traces: the header tables are no longer empty
				for j := 0; j < 10; j++ {
					call(conn, port, "Unary", 1000000+j)
				}
			}
			ready <- true
			<-start
			if !early {
				conn, port = connection(address, useTLS)
			}
			for j := i; j < n; j += c {
				for name := range kinds {
					seen.add(call(conn, port, name, j))
				}
			}
			conn.Close()
		}(i)
	}
	for i := 0; i < c; i++ {
		<-ready
	}
	fmt.Println("ready")
	lines.Scan()
	close(start)
	workers.Wait()
	fail(json.NewEncoder(os.Stdout).Encode(seen.seen))
	lines.Scan() // and stays until the test has seen it
}

func main() {
	set := flag.NewFlagSet("peer", flag.ExitOnError)
	useTLS := set.Bool("tls", false, "TLS")
	early := set.Bool("early", false, "client: connect, and make calls, before the line on stdin")
	address := set.String("address", "", "client: where to")
	n := set.Int("n", 10, "client: calls of each kind")
	c := set.Int("c", 2, "client: connections, each with one call at a time")
	if len(os.Args) < 2 {
		fail(errors.New("server or client?"))
	}
	fail(set.Parse(os.Args[2:]))
	if os.Args[1] == "server" {
		serve(*useTLS)
	} else {
		drive(*address, *useTLS, *early, *n, *c)
	}
}
