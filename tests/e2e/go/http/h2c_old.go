// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !go1.24

package main

import (
	"errors"
	"net/http"
)

func plainHTTP2Server(s *http.Server)    { fail(errors.New("HTTP/2 without TLS needs Go 1.24")) }
func plainHTTP2Client(t *http.Transport) { fail(errors.New("HTTP/2 without TLS needs Go 1.24")) }
