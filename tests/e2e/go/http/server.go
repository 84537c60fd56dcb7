// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"sync"
	"time"
)

var filler = bytes.Repeat([]byte("weft "), 8000)

type log struct {
	sync.Mutex
	seen []Seen
}

func (l *log) add(s Seen) {
	l.Lock()
	defer l.Unlock()
	l.seen = append(l.seen, s)
}

func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	fail(err)
	n, err := strconv.Atoi(port)
	fail(err)
	return n
}

// status that the server answers to a request.
func status(id int) int {
	switch {
	case id%11 == 3:
		return 503
	case id%7 == 3:
		return 404
	}
	return 200
}

// handler answers /a/ID and /deep/ID with id%30000 bytes, the latter from the depth of a stack of its own.
func (l *log) handler(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	io.Copy(io.Discard, r.Body)
	id, err := strconv.Atoi(path.Base(r.URL.Path))
	if err != nil {
		http.Error(w, "no id", 400)
		return
	}
	answer := func() {
		w.WriteHeader(status(id))
		w.Write(filler[:id%30000])
		w.(http.Flusher).Flush()
	}
	if path.Dir(r.URL.Path) == "/deep" {
		onFreshStack(id%400, answer)
	} else {
		answer()
	}
	l.add(Seen{id, r.Method, r.URL.RequestURI(), status(id), portOf(r.RemoteAddr), r.Proto,
		begin.UnixNano(), time.Now().UnixNano()})
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

// wrapped stands between TLS and the socket, as the connections of rate limiters and PROXY protocol listeners do.
type wrapped struct {
	name string
	net.Conn
}

type wrapping struct{ net.Listener }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wrapped{"a connection", c}, nil
}

func listen(o *options) (net.Listener, *tls.Config) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	if o.wrap {
		l = wrapping{l}
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	if o.max == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	return l, config
}

// serve until stdin ends.
func serve(o *options) {
	var seen log
	l, config := listen(o)
	server := http.Server{Handler: http.HandlerFunc(seen.handler), TLSConfig: config}
	if !o.h2 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	} else if !o.tls {
		plainHTTP2Server(&server)
	}
	go func() {
		if o.tls {
			server.ServeTLS(l, "", "")
		} else {
			server.Serve(l)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	server.Shutdown(context.Background())
	report(seen.seen)
}
