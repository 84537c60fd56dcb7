# SPDX-License-Identifier: GPL-2.0-or-later
# A target of tools/accuracy: Ruby, for Puma. Calls: HTTP (net/http) over a pool of 10 connections.
require 'net/http'

POOL = SizedQueue.new(10)
10.times { POOL << Net::HTTP.new('127.0.0.1', ENV['BACKEND_PORT'].to_i).tap { |c| c.keep_alive_timeout = 60 } }

def call(name, tag)
  connection = POOL.pop
  connection.start unless connection.started?
  connection.get("/b/#{name}-#{tag}")
ensure
  POOL << connection
end

Thread.new { (1..).each { |i| sleep 0.02; call('bg', i) } }

run lambda { |env|
  _, route, name = env['PATH_INFO'].split('/')
  n = name[2..].to_i
  case route
  when 'one' then call(name, 1)
  when 'seq' then (0..n % 4).each { |i| call(name, i + 1) }
  when 'par' then (0..n % 4).map { |i| Thread.new { call(name, i + 1) } }.each(&:join)
  when 'think' then sleep 0.003; call(name, 1); sleep 0.002; call(name, 2)
  when 'hop' then Thread.new { call(name, 1) }.join
  when 'sleep' then sleep 0.005
  when 'after' then Thread.new { sleep 0.005; call(name, 'after') }
  end
  [200, { 'content-type' => 'text/plain', 'content-length' => '3' }, ["ok\n"]]
}
