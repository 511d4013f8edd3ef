<?php
// The PHP twin of desk.py: it asks others while it answers, in the process that has read the request.
// DOWN is the base URL of a service, POSTGRES the port of a server.

// The id of another request, if ids are permuted: the last digit is one higher.
function others(string $call): string
{
    return getenv('PERMUTED') ? substr($call, 0, -1) . ((intval(substr($call, -1)) + 1) % 10) : $call;
}

function ask(CurlHandle $session, string $call, string $n): void
{
    curl_setopt($session, CURLOPT_URL, getenv('DOWN') . '/bytes/10?call=' . others($call) . ".$n");
    if (curl_exec($session) === false || curl_getinfo($session, CURLINFO_RESPONSE_CODE) !== 200) {
        throw new RuntimeException(curl_error($session));
    }
}

function select(string $call, string $n): void
{
    // Kept by the process, for the next request.
    $database = pg_pconnect('host=127.0.0.1 port=' . getenv('POSTGRES') . ' user=postgres dbname=postgres');
    pg_query($database, 'SELECT 1 AS "call=' . others($call) . ".$n\"");
}

// Up to 8 ms, another for each call.
function rest(string $call, string $n): void
{
    usleep(crc32("$call.$n") % 8 * 1000);
}

$call = $_GET['call'];
$session = curl_init();
curl_setopt($session, CURLOPT_RETURNTRANSFER, true);
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/work':
        ask($session, $call, 'one');
        rest($call, 'one');
        select($call, 'two');
        ask($session, $call, 'three');
        echo '{}';
        break;
    case '/pieces':
        // An answer that has begun while there is still something to ask.
        echo "begun\n";
        flush();
        ask($session, $call, 'one');
        rest($call, 'one');
        echo "more\n";
        flush();
        select($call, 'two');
        echo "done\n";
        break;
    default:
        http_response_code(404);
}
