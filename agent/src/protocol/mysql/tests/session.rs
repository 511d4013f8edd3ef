//! What is known of a session, from its greeting on.

use super::bytes::*;
use super::{A, Player, Q, Side, run};

fn select() -> [(Side, Vec<u8>); 2] {
    [(Q, query("SELECT * FROM a")), (A, result(Ok, 1))]
}

/// What is said before the first word of the answer, of one call after `turns`.
fn known(turns: Vec<(Side, Vec<u8>)>) -> String {
    let found = run(&[turns, select().to_vec()].concat());
    let last = found.last().unwrap();
    assert!(last.ends_with(" \"SELECT a\" -> 1 rows ") || last.contains("-> 1 rows"), "{found:?}");
    last.split(' ').nth(1).unwrap().to_owned()
}

fn logged_in(version: &str, own: u32, client: u32, database: &str) -> Vec<(Side, Vec<u8>)> {
    let greeting = greeting_of(version, own, AUTOCOMMIT);
    vec![(A, greeting), (Q, login_with(client, database)), (A, welcome())]
}

#[test]
fn who_the_server_is() {
    for (version, own, system) in [
        ("8.4.3", u32::MAX, "mysql"),
        ("5.7.44-log", u32::MAX, "mysql"),
        ("8.0.11-TiDB-v7.5.1", u32::MAX, "mysql"),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1", u32::MAX, "mariadb"),
        ("11.4.2-MariaDB", u32::MAX - 1, "mariadb"),
        // It says so by what it does not do.
        ("8.0.30", u32::MAX - 1, "mariadb"),
    ] {
        let turns = logged_in(version, own, capabilities(Ok), "shop");
        assert_eq!(known(turns), format!("{system}.shop"), "{version}");
    }
}

#[test]
fn which_database() {
    let start = |more: Vec<(Side, Vec<u8>)>| {
        [logged_in("8.4.3", u32::MAX, capabilities(Ok), "shop"), more].concat()
    };
    let asked = |text: &str, answer: Vec<u8>| vec![(Q, query(text)), (A, answer)];
    let fine = || one(ok(0, AUTOCOMMIT));
    let two = || numbered(1, &[ok(0, AUTOCOMMIT | MORE), ok(0, AUTOCOMMIT)]);
    for (more, namespace) in [
        (vec![], "shop"),
        (asked("USE other", fine()), "other"),
        (asked(" /* x */ -- y\n use `an-other` ; ", fine()), "an-other"),
        (asked("USE other", one(error(1049))), "shop"),
        (asked("SELECT a FROM b USE INDEX (c)", result(Ok, 1)), "shop"),
        (asked("SET @a = 1; USE other", two()), "-"),
        (asked("INSERT INTO a VALUES ('; use other')", fine()), "shop"),
        (asked("/*!50000 USE other */", fine()), "-"),
        (asked("DROP DATABASE shop", fine()), "-"),
        (asked("DROP DATABASE shop", one(error(1008))), "shop"),
        (asked("SET @a = 1; SET @b = 2", two()), "shop"),
        (asked("CALL p()", one(ok_in("fourth"))), "fourth"),
        (vec![(Q, command(6, b"shop")), (A, fine())], "-"),
    ] {
        let context = format!("{more:?}");
        assert_eq!(known(start(more)), format!("mysql.{namespace}"), "{context}");
    }
    let none = capabilities(Ok) & !(1 << 3);
    let turns = vec![(A, greeting()), (Q, login_with(none, "")), (A, welcome())];
    assert_eq!(known(turns), "mysql.-");
}

#[test]
fn who_is_refused_has_no_calls() {
    let refused = packet(2, &error(1045));
    assert_eq!(run(&[(A, greeting()), (Q, login(Ok)), (A, refused)]), ["Leave"]);
}

/// Every way to prove who one is.
#[test]
fn proofs() {
    let start = || vec![(A, greeting()), (Q, login(Ok))];
    let switch = || (A, packet(2, b"\xfemysql_native_password\0secretsecretsecret12\0"));
    let all = [
        vec![(A, packet(2, &ok(0, AUTOCOMMIT)))],
        vec![switch(), (Q, packet(3, b"secretsecretsecret12")), (A, packet(4, &ok(0, AUTOCOMMIT)))],
        vec![
            (A, packet(2, b"\x01\x04")),
            (Q, packet(3, b"\x02")),
            (A, packet(4, b"\x01-----BEGIN PUBLIC KEY-----")),
            (Q, packet(5, &[7; 256])),
            (A, packet(6, &ok(0, AUTOCOMMIT))),
        ],
    ];
    for proof in all {
        assert_eq!(known([start(), proof].concat()), "mysql.shop");
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let tls = login_with(capabilities(Ok) | TLS, "");
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let found = run(&[(A, greeting()), (Q, tls), (Q, hello), (A, b"\x16\x03\x03".to_vec())]);
    assert_eq!(found, ["Encrypted", "Leave"]);
    for bit in [COMPRESS, 1 << 26] {
        let login = login_with(capabilities(Ok) | bit, "shop");
        let asked = [&[20, 0, 0, 0, 0, 0, 0][..], &query("SELECT * FROM a")].concat();
        let found = run(&[(A, greeting()), (Q, login), (A, welcome()), (Q, asked)]);
        assert_eq!(found, ["Compressed", "Leave"]);
    }
    // The server would rather not.
    let turns = logged_in("8.4.3", !COMPRESS, capabilities(Ok) | COMPRESS, "shop");
    assert_eq!(known(turns), "mysql.shop");
}

#[test]
fn replication_is_left_alone() {
    for code in [0x12, 0x1e] {
        let mut turns = logged_in("8.4.3", u32::MAX, capabilities(Ok), "");
        turns.push((Q, command(0x15, &[1, 0, 0, 0, 0, 0, 0, 0, 0])));
        turns.push((A, one(ok(0, AUTOCOMMIT))));
        turns.push((Q, command(code, &[4, 0, 0, 0, 0, 0])));
        turns.push((A, one(vec![0; 40])));
        assert_eq!(run(&turns), ["Leave"]);
    }
}

/// Where a string ends depends on a setting, which the server tells.
#[test]
fn backslashes() {
    let text = "SELECT * FROM a WHERE b = 'x\\' AND c = 'secret\\'";
    for (status, shown) in [
        (Some(AUTOCOMMIT | NO_BACKSLASH), "SELECT * FROM a WHERE b = ? AND c = ?"),
        (Some(AUTOCOMMIT), "SELECT * FROM a WHERE b = ?secret\\?"),
        (None, "SELECT * FROM a WHERE b = ?"),
    ] {
        let mut player = Player::joined(0, 0);
        for (side, bytes) in logged_in("8.4.3", u32::MAX, capabilities(Ok), "shop") {
            player.data(side, &bytes);
        }
        player.data(Q, &query("SET sql_mode = 'x'"));
        match status {
            Some(status) => player.data(A, &one(ok(0, status))),
            None => player.gap(A, 11),
        }
        player.data(Q, &query(text));
        let found = format!("{:?}", player.driver.parts);
        assert!(found.contains(&format!("text: {shown:?}")), "{status:?}: {found}");
    }
}
