// SPDX-License-Identifier: GPL-2.0-or-later

//go:build go1.24

package main

import "net/http"

func onlyHTTP2() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

func plainHTTP2Server(s *http.Server)    { s.Protocols = onlyHTTP2() }
func plainHTTP2Client(t *http.Transport) { t.Protocols = onlyHTTP2() }
