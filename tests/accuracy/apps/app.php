<?php
// SPDX-License-Identifier: GPL-2.0-or-later
// A target of tools/accuracy: PHP, for PHP-FPM: a process serves one request at a time. Calls: HTTP, a connection each; Redis over one
// that the process keeps.

function fetch(string $key): void
{
	file_get_contents('http://127.0.0.1:' . getenv('BACKEND_PORT') . "/b/$key");
}

function get(string $key): void
{
	$redis = pfsockopen('127.0.0.1', (int) getenv('REDIS_PORT'));
	fwrite($redis, "*2\r\n$3\r\nGET\r\n$" . strlen($key) . "\r\n$key\r\n");
	fgets($redis);
}

function call(int $which, string $name, int $tag): void
{
	$which % 2 ? get("$name-$tag") : fetch("$name-$tag");
}

[, $route, $name] = explode('/', $_SERVER['REQUEST_URI']);
$n = (int) substr($name, 2);

switch ($route) {
case 'one':
	call($n, $name, 1);
	break;
case 'seq':
	for ($i = 0; $i <= $n % 4; $i++)
		call($i, $name, $i + 1);
	break;
case 'think':
	usleep(3000);
	call($n, $name, 1);
	usleep(2000);
	call($n + 1, $name, 2);
	break;
case 'sleep':
	usleep(5000);
	break;
}
header('Content-Length: 3');
echo "ok\n";
