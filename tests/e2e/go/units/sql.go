// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// A driver for database/sql that knows PostgreSQL's simple queries: what is tested is the pool above it.
type sqlDriver struct{}

type sqlConn struct {
	net.Conn
	r *bufio.Reader
}

type noRows struct{}

// ask sends a message and reads until the server is ready for the next.
func (c *sqlConn) ask(kind, text string) error {
	head := binary.BigEndian.AppendUint32([]byte(kind), uint32(len(text)+4))
	if _, err := c.Write(append(head, text...)); err != nil {
		return err
	}
	for head = make([]byte, 5); head[0] != 'Z'; {
		if _, err := io.ReadFull(c.r, head); err != nil {
			return err
		}
		if _, err := c.r.Discard(int(binary.BigEndian.Uint32(head[1:])) - 4); err != nil {
			return err
		}
	}
	return nil
}

func (sqlDriver) Open(address string) (driver.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn := &sqlConn{c, bufio.NewReader(c)}
	return conn, conn.ask("", "\x00\x03\x00\x00user\x00postgres\x00\x00")
}

func (c *sqlConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	return noRows{}, c.ask("Q", query+"\x00")
}

func (*sqlConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not in this driver") }
func (*sqlConn) Begin() (driver.Tx, error)           { return nil, errors.New("not in this driver") }

func (noRows) Columns() []string         { return []string{"nothing"} }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }

var db *sql.DB

func openDB(address string) {
	sql.Register("simple", sqlDriver{})
	var err error
	db, err = sql.Open("simple", address)
	fail(err)
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
}

func query(key string) {
	rows, err := db.Query("select '" + key + "'")
	fail(err)
	fail(rows.Close())
}
