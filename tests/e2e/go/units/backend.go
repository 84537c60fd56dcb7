// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand"
	"net"
	"net/http"
	"os"
	"time"
)

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	fail(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func think() { time.Sleep(time.Duration(mathrand.Intn(3000)) * time.Microsecond) }

// ready is what PostgreSQL says when it waits for a query.
const ready = "Z\x00\x00\x00\x05I"

// queries answers as PostgreSQL does, each without a row.
func queries(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	head := make([]byte, 5)
	for first := true; ; first = false {
		part := head
		if first { // no type
			part = head[1:]
		}
		if _, err := io.ReadFull(r, part); err != nil {
			return
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(head[1:])) - 4); err != nil {
			return
		}
		answer := "C\x00\x00\x00\x0dSELECT 0\x00" + ready
		if first {
			answer = "R\x00\x00\x00\x08\x00\x00\x00\x00" + ready
		} else {
			think()
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// backend prints its ports: HTTP, HTTPS and SQL.
func backend() {
	plain, secure, database := listen(), listen(), listen()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		think()
		fmt.Fprintln(w, "ok")
	})
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2", "http/1.1"}}
	go http.Serve(plain, handler)
	go (&http.Server{Handler: handler, TLSConfig: config}).ServeTLS(secure, "", "")
	go func() {
		for {
			c, err := database.Accept()
			fail(err)
			go queries(c)
		}
	}()
	fmt.Println("listening", portOf(plain), portOf(secure), portOf(database))
	io.Copy(io.Discard, os.Stdin)
}
