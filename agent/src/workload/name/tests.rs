//! Command lines and the names that they give.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

struct Files(HashMap<&'static str, &'static str>, Option<&'static str>);

impl Look for Files {
    fn package(&self, directory: &str) -> Option<String> {
        self.0.get(directory).map(|name| (*name).to_owned())
    }
    fn parent(&self) -> Option<String> {
        self.1.map(str::to_owned)
    }
}

fn named(cwd: &str, executable: &str, arguments: &[&str]) -> String {
    let packages = [("/srv/web", "@acme/storefront"), ("/srv/bare", "app"), ("/mono", "mono")];
    let look = Files(packages.into_iter().collect(), Some("parent"));
    name(&Command {
        comm: "comm",
        arguments,
        directory: (!cwd.is_empty()).then_some(cwd),
        executable: (!executable.is_empty()).then_some(executable),
        look: &look,
    })
}

/// One line per case: working directory, command line, name.
fn check(cases: &[(&str, &str, &str)]) {
    for (cwd, line, expected) in cases {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(named(cwd, "", &words), *expected, "{line} in {cwd}");
    }
}

#[test]
fn python_programs() {
    check(&[
        ("/srv/shop", "python script.py", "script"),
        ("/srv/shop", "python3.11 -u -X dev -W ignore orders.py --port 8000", "orders"),
        ("/srv/shop", "/venv/bin/python3 main.py", "shop"),
        ("/app", "python main.py", "main"),
        ("/app", "python /srv/shop/src/app.py", "shop"),
        ("/srv/shop", "python manage.py runserver 0.0.0.0:8000", "shop"),
        ("/", "python /srv/shop/manage.py runserver", "shop"),
        ("/srv/shop", "python -m orders", "orders"),
        ("/srv/shop", "python -morders.main", "orders"),
        ("/srv/shop", "python -um shop.worker", "shop.worker"),
        ("/srv/shop", "python -m main", "shop"),
        ("/srv/shop", "python3 -m http.server 8000", "http.server"),
        ("/srv/shop", "python -m uvicorn orders:app --port 8000", "orders"),
        ("/srv/shop", "python -m debugpy --listen 5678 orders.py", "orders"),
        ("/srv/shop", "python -m debugpy --listen 5678 -m uvicorn orders:app", "orders"),
        ("/srv/shop", "python -m", "shop"),
        ("/srv/shop", "python -c print(1)", "shop"),
        ("/", "python3.12 -c print(1)", "python"),
        ("/srv/shop", "python -", "shop"),
        ("/srv/shop", "python", "shop"),
        ("/app", "python -W", "python"),
        ("/srv/shop", "python /venv/bin/shop-api --port 1", "shop-api"),
        ("/srv/shop", "pypy3 orders.py", "orders"),
    ]);
    let spawned = ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"];
    assert_eq!(named("/srv/shop", "", &spawned), "parent");
}

#[test]
fn python_servers() {
    check(&[
        ("/srv/shop", "uvicorn orders:app", "orders"),
        ("/srv/shop", "uvicorn main:app --host 0.0.0.0 --port 8000", "shop"),
        ("/srv/shop", "uvicorn --port 8000 --reload orders.main:app", "orders"),
        ("/srv/shop", "uvicorn --host localhost:8000 main:app", "shop"),
        ("/srv", "uvicorn main:app --app-dir services/orders", "orders"),
        ("/srv", "uvicorn main:app --app-dir=/srv/orders/src", "orders"),
        ("/srv/shop", "uvicorn --factory app.main:create_app", "shop"),
        ("/app", "uvicorn main:app", "uvicorn"),
        ("/app", "/usr/bin/python3.11 /venv/bin/uvicorn main:app", "uvicorn"),
        ("/srv/shop", "/usr/bin/python3.11 /venv/bin/uvicorn main:app", "shop"),
        (
            "/srv/shop",
            "/usr/bin/python3 -u /venv/bin/gunicorn orders.wsgi:application -w 4",
            "orders",
        ),
        ("/x", "gunicorn -k uvicorn.workers.UvicornWorker -b 0.0.0.0:80 shop.wsgi", "shop"),
        ("/x", "gunicorn -c python:conf.gunicorn shop.wsgi:app", "shop"),
        ("/x", "gunicorn --bind unix:/run/a.sock --unknown shop:create_app()", "shop"),
        ("/x", "gunicorn -n till shop.wsgi", "till"),
        ("/x", "gunicorn --chdir /srv/till wsgi:app", "till"),
        ("/srv/shop", "gunicorn -c conf.py", "shop"),
        ("/srv/shop", "hypercorn src.orders.main:app", "orders"),
        ("/srv/shop", "daphne -b 0.0.0.0 -p 8001 mysite.asgi:application", "mysite"),
        ("/srv/shop", "waitress-serve --port=80 --call orders:make", "orders"),
        ("/srv/shop", "uwsgi --http :80 --module orders.wsgi", "orders"),
        ("/srv/shop", "uwsgi --http :80 --wsgi-file till.py", "till"),
        ("/srv/shop", "uwsgi --ini uwsgi.ini", "shop"),
        ("/srv/shop", "celery -A orders.celery worker -l info", "orders"),
        ("/srv/shop", "celery --app=app worker", "shop"),
        ("/srv/shop", "flask run --port 5000", "shop"),
        ("/srv/shop", "flask --app orders run", "orders"),
        ("/srv/shop", "python -m flask --app src/till.py:create run", "till"),
        ("/srv/shop", "fastapi run orders.py --port 80", "orders"),
        ("/srv/shop", "fastapi dev app/main.py", "shop"),
        ("/srv/shop", "fastapi run --port 8000 --host 0.0.0.0", "shop"),
        ("/srv/shop", "streamlit run dash.py", "dash"),
        (
            "/srv/shop",
            "opentelemetry-instrument --traces_exporter otlp uvicorn orders:app",
            "orders",
        ),
        ("/srv/shop", "python /venv/bin/ddtrace-run gunicorn orders.wsgi", "orders"),
        ("/srv/shop", "poetry run uvicorn orders:app", "orders"),
        ("/srv/shop", "uv run --with httpx uvicorn main:app", "shop"),
    ]);
}

#[test]
fn node_programs() {
    check(&[
        ("/srv/web", "node server.js", "storefront"),
        (
            "/srv/web",
            "/usr/local/bin/node --max-old-space-size=512 -r dotenv/config src/server.js",
            "storefront",
        ),
        ("/srv/web", "npm start", "storefront"),
        ("/srv/web", "node /srv/web/node_modules/.bin/next start", "storefront"),
        ("/srv/till", "npm start", "till"),
        ("/srv/till", "node orders.js", "orders"),
        ("/srv/till", "node server.js", "till"),
        ("/srv/bare", "node dist/index.js", "bare"),
        ("/app", "node server.js", "server"),
        ("/", "node /srv/web/dist/main.js", "storefront"),
        ("/srv/till", "node -e 1", "till"),
        ("/", "node -e 1", "node"),
        ("/", "node20", "node"),
        ("/srv/till", "bun run orders.ts", "orders"),
        ("/srv/till", "deno run --allow-net till.ts", "till"),
        ("/srv/web", "node /usr/lib/node_modules/pm2/bin/pm2 start", "storefront"),
        ("/srv/web", "yarn start", "storefront"),
    ]);
    // One argument without a space: `process.title = 'till'`.
    assert_eq!(named("/srv/web", "/usr/bin/node", &["till"]), "till");
    assert_eq!(named("/srv/web", "/usr/bin/node", &["npm start"]), "storefront");
}

#[test]
fn java_programs() {
    check(&[
        ("/x", "java -jar shop.jar", "shop"),
        (
            "/x",
            "/usr/bin/java -Xmx1g -Dfoo=bar -jar /opt/shop-1.2.3-SNAPSHOT.jar --port 80",
            "shop",
        ),
        ("/x", "java -jar order-service-all.jar", "order-service"),
        ("/srv/till", "java -jar app.jar", "till"),
        ("/app", "java -jar app.jar", "app"),
        ("/x", "java -cp a.jar:b.jar com.acme.Shop", "Shop"),
        ("/x", "java -classpath a.jar -ea com.acme.till.Main", "till"),
        ("/x", "java --add-opens java.base/java.lang=ALL-UNNAMED com.acme.MainKt", "acme"),
        ("/x", "java -p mods -m shop/com.acme.Shop", "Shop"),
        ("/srv/till", "java org.springframework.boot.loader.launch.JarLauncher", "till"),
        ("/x", "java -Dspring.application.name=orders -jar app.jar", "orders"),
        ("/x", "java -cp x kafka.Kafka server.properties", "kafka"),
        ("/x", "java -cp x org.apache.catalina.startup.Bootstrap start", "tomcat"),
        ("/x", "java Shop.java", "Shop"),
        ("/", "java -version", "java"),
        ("/", "java -jar", "java"),
    ]);
}

#[test]
fn ruby_php_dotnet_and_others() {
    check(&[
        ("/srv/shop", "ruby orders.rb", "orders"),
        ("/srv/shop", "ruby3.1 -I lib -r json server.rb", "shop"),
        ("/srv/shop", "/usr/bin/ruby /usr/local/bin/puma -C config/puma.rb", "shop"),
        ("/srv/shop", "puma -C config/puma.rb", "shop"),
        ("/srv/shop", "bundle exec puma", "shop"),
        ("/srv/shop", "ruby bin/rails server", "shop"),
        ("/srv/shop", "php artisan serve", "shop"),
        ("/srv/shop", "php8.2 -S 0.0.0.0:80 -t public", "shop"),
        ("/srv/shop", "php -d x=1 orders.php", "orders"),
        ("/", "php-fpm8.2", "php-fpm"),
        ("/x", "dotnet Shop.Api.dll --urls http://*:80", "Shop.Api"),
        ("/x", "dotnet exec --runtimeconfig a.json /app/Shop.dll", "Shop"),
        ("/srv/shop", "dotnet run", "shop"),
        ("/x", "dotnet run --project src/Orders/Orders.csproj", "Orders"),
        ("/x", "beam.smp -A 1 -- -sname shop@host -home /root", "shop"),
        ("/x", "perl -w orders.pl", "orders"),
        ("/srv/shop", "perl -e 1", "shop"),
    ]);
}

#[test]
fn shells_and_wrappers() {
    check(&[
        ("/x", "env -u A B=1 /srv/shop/till --port 1", "till"),
        ("/x", "timeout -s KILL 10 nice -n 5 till", "till"),
        ("/x", "sudo -u shop till", "till"),
        ("/x", "tini -- node /srv/web/a.js", "storefront"),
        ("/x", "sh /srv/till/entrypoint.sh", "till"),
        ("/x", "bash orders.sh", "orders"),
        ("/srv/shop", "bash /dev/fd/3", "shop"),
        ("/srv/shop", "bash", "shop"),
        ("/", "-bash", "bash"),
        ("/x", "busybox httpd -f", "httpd"),
        ("/x", "/lib64/ld-linux-x86-64.so.2 --library-path /l /srv/till/till", "till"),
        ("/x", "env env env env env env env", "env"),
    ]);
    let line = ["sh", "-c", "cd /srv && PORT=1 exec uvicorn 'orders:app' --port 80"];
    assert_eq!(named("/x/y", "", &line), "orders");
    assert_eq!(named("/srv/shop", "", &["sh", "-ec", "while true; do sleep 1; done"]), "shop");
    assert_eq!(named("/srv/shop", "", &["sh", "-c"]), "shop");
}

#[test]
fn native_programs() {
    for (cwd, executable, arguments, expected) in [
        ("/", "/usr/local/bin/shop", &["/usr/local/bin/shop", "-p", "1"][..], "shop"),
        ("/srv/shop", "/srv/shop/server", &["./server"], "shop"),
        ("/srv/till", "/tmp/go-build12/b001/exe/main", &["/tmp/go-build12/b001/exe/main"], "till"),
        ("/", "/app/server", &["/app/server"], "server"),
        ("/", "/usr/bin/busybox", &["httpd", "-f"], "httpd"),
        ("/", "/opt/My App/till", &["/opt/My App/till"], "till"),
        ("/srv/x", "/usr/bin/python3.11", &["odd-name", "orders.py"], "orders"),
        ("/", "/usr/bin/till", &[], "till"),
        ("/", "", &[], "comm"),
        ("/", "", &[""], "comm"),
    ] {
        assert_eq!(named(cwd, executable, arguments), expected, "{arguments:?}");
    }
}

#[test]
fn titles() {
    for (cwd, title, expected) in [
        ("/", "nginx: worker process", "nginx"),
        ("/", "nginx: master process /usr/sbin/nginx -g daemon off;", "nginx"),
        ("/", "gunicorn: worker [shop]", "shop"),
        ("/", "gunicorn: master [shop.wsgi:application]", "shop"),
        ("/srv/shop", "gunicorn: worker [main:app]", "shop"),
        ("/", "gunicorn: worker [gunicorn]", "gunicorn"),
        ("/", "php-fpm: pool www", "php-fpm"),
        ("/", "php-fpm: pool shop", "shop"),
        ("/", "php-fpm: master process (/etc/php/fpm.conf)", "php-fpm"),
        ("/", "postgres: 15/main: walwriter ", "postgres"),
        ("/", "postgres: shop shop 127.0.0.1(4711) idle", "postgres"),
        ("/srv/shop", "puma 6.4.0 (tcp://0.0.0.0:3000) [till]", "till"),
        ("/srv/shop", "puma: cluster worker 0: 1234 [current]", "shop"),
        ("/srv/x", "sidekiq 7.1.0 shop [0 of 5 busy]", "shop"),
        ("/", "[celeryd: celery@host:MainProcess] -active- (worker -A orders -l info)", "orders"),
        ("/", "Passenger RubyApp: /srv/shop (production)", "shop"),
        ("/", "redis-server *:6379", "redis-server"),
        ("/", "sshd: ann [priv]", "sshd"),
    ] {
        assert_eq!(named(cwd, "/usr/bin/something", &[title]), expected, "{title}");
    }
    // As nginx's title looks when its words were split by zeros.
    assert_eq!(named("/", "", &["nginx:", "worker", "process"]), "nginx");
}

#[test]
fn names_are_clean() {
    assert_eq!(clean(" a\u{1b}[31mb\n "), Some("a[31mb".to_owned()));
    assert_eq!(clean("\0\t "), None);
    assert_eq!(clean(&"x".repeat(500)).map(|name| name.len()), Some(MAX_NAME));
    assert_eq!(named("", "", &["\u{7}"]), "unknown_service");
}

/// Words that reach deep into the rules.
fn word() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "python3",
        "-m",
        "-c",
        "-um",
        "uvicorn",
        "gunicorn",
        "main:app",
        "a.b:c",
        "--app-dir",
        "node",
        "-e",
        "java",
        "-jar",
        "-cp",
        "x-1.jar",
        "sh",
        "env",
        "A=1",
        "timeout",
        "ruby",
        "dotnet",
        "nginx:",
        "gunicorn: worker [x]",
        "sidekiq 1 2",
        "",
        "-",
        "--",
        "/",
        "..",
        "beam.smp",
        "celery",
        "-A",
        "[celeryd: x",
        "php",
        "flask",
        "fastapi",
        "run",
        "npm start",
    ];
    prop_oneof![
        3 => proptest::sample::select(KNOWN).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn hostile_command_lines_are_harmless(
        words in proptest::collection::vec(word(), 0..8), cwd in "(/\\PC{0,9}){0,4}", exe in word(),
    ) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let name = named(&cwd, &exe, &words);
        prop_assert!(!name.is_empty() && name.chars().count() <= MAX_NAME);
    }
}
