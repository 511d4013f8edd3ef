//! What is shown of keys.

use proptest::prelude::*;

use super::super::text::{MAX_TEXT, push_command, push_hidden, push_key};
use super::{DETECTOR, Driver, Q, calls};

fn key(key: &str) -> String {
    let mut text = String::new();
    push_key(&mut text, key.as_bytes());
    text.split_off(1)
}

#[test]
fn words_stay_and_values_go() {
    for (sent, shown) in [
        ("user:1000:profile", "user:?:profile"),
        ("cartItems", "cartItems"),
        ("CART_ITEMS", "CART_ITEMS"),
        ("session:5f2d8a3e77c1", "session:?"),
        ("session:deadbeef", "session:?"),
        ("cache/{17}.json", "cache/{?}.json"),
        ("token:qWeRtYuIoPaS", "token:?"),
        ("someone@example.com", "?"),
        ("two words", "?"),
        ("p\u{e4}ron", "?"),
        ("", "?"),
        ("::", "::"),
    ] {
        assert_eq!(key(sent), shown, "{sent}");
    }
    assert_eq!(key(&"x".repeat(200)), "?");
}

#[test]
fn texts_are_bounded() {
    let mut text = "SADD".to_owned();
    (0..100_000).for_each(|_| push_hidden(&mut text));
    (0..1000).for_each(|_| push_key(&mut text, b"key"));
    (0..1000).for_each(|_| push_command(&mut text, "GET k"));
    assert!(text.len() <= MAX_TEXT + 4 && text.ends_with(" ..."), "{text}");
}

proptest! {
    /// No value and no credential is in anything that leaves the parser.
    #[test]
    fn nothing_leaks(
        secret in "[a-zA-Z0-9]{3}[0-9]{3}[a-zA-Z0-9]{3,9}",
        form in 0..14_usize,
        cut in 0..400_usize,
    ) {
        let command = [
            "SET k *", "AUTH *", "AUTH me *", "HELLO 3 AUTH * *", "ACL SETUSER * >*",
            "CONFIG SET requirepass *", "MIGRATE * 1 * 0 9 AUTH2 * *", "HSET k * *",
            "EVAL * 1 k *", "PUBLISH * *", "XADD s * * *", "MSET a * b *", "CLIENT SETNAME *",
            "UNKNOWN.THING * *",
        ][form].replace('*', &secret);
        let mut bytes = super::array("PING");
        bytes.extend(super::array(&command));
        bytes.extend(super::array(&command));
        let mut driver = Driver::joined(&DETECTOR, 0, 0);
        driver.data(Q, &bytes[..cut.min(bytes.len())]);
        driver.gap(Q, 7);
        driver.data(super::A, format!("+PONG\r\n-{secret} x\r\n").as_bytes());
        driver.close();
        let told = calls(&driver.parts).join("\n");
        prop_assert!(!told.contains(&secret), "{}", told);
        let all = format!("{:?}", driver.parts);
        prop_assert!(!all.contains(&secret), "{}", all);
    }
}
